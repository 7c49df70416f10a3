"""Read a table, CSV or JSON, into rows from the oldest to the newest and into columns of numbers."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Any

from clients.sources import BrokenSource, Document
from clients.text import charsets
from clients.text.words import listed
from tasks.analyst import dates, figures

#: The newest rows that are read: more than a year of days. Ten times as many are put in order by their dates.
MAX_ROWS, MAX_SORTED = 400, 4_000
#: Columns that are read: each row is padded to the width of the header, which takes quadratic time for wide ones.
MAX_CELLS = 50
#: Cells that are named when they cannot be read.
MAX_NAMED = 3
#: Rows from which the separator and the column of dates are told.
SAMPLE = 20
#: Characters of a cell in a message.
MAX_SHOWN = 40

#: Words in the name of a column whose plain numbers are dates.
_DATE_NAMES = frozenset({"date", "day", "time", "timestamp", "datetime", "month", "year", "at"})
#: A line that is a remark; `#,Date,Visits` is a heading.
_REMARK = re.compile(r"#(?!\s*[,;\t|])")
#: A label with one number in it.
_NUMBERED = re.compile(r"(\D{0,20})(\d{1,9})(\D{0,20})")


@dataclass(frozen=True)
class TableRow:
    """One row: its number in the file, where the heading is row 1, and its cells."""

    number: int
    cells: list[Any]


@dataclass
class Table:
    """A table: the names of its columns, its rows, and what cannot be read in it."""

    names: list[str]
    rows: list[TableRow]
    separator: str = ","
    problems: list[str] = field(default_factory=list)  #: whole rows
    cells: list[str] = field(default_factory=list)  #: single cells
    words: list[str] = field(default_factory=list)  #: the names of columns that hold something else than numbers

    def left_out(self) -> str:
        """Return what cannot be read, in words; an empty text if there is nothing."""
        named = [*self.problems[:MAX_NAMED], *self.cells[:MAX_NAMED]]
        more = len(self.problems) + len(self.cells) - len(named)
        told = [*named, *([f"and {more} more"] if more else [])]
        if self.words:
            told.append(f"not numbers: {listed([repr(name) for name in self.words])}")
        return "; ".join(told)


def read(document: Document) -> Table:
    """Read a CSV file with a heading, or a JSON list of objects; raises BrokenSource if it is neither."""
    charset = charsets.in_content_type(document.content_type)
    text = charsets.decode(document.data, [charset] if charset else [])
    return _of_json(text) if text.lstrip().startswith(("[", "{")) else _of_csv(text)


# Rows


def _of_csv(text: str) -> Table:
    lines = text.splitlines(keepends=True)
    skipped = next((n for n, line in enumerate(lines) if line.strip() and not _REMARK.match(line)), len(lines))
    separator = ""
    if lines[skipped:] and lines[skipped].lower().startswith("sep=") and len(lines[skipped].strip()) <= 5:  # noqa: PLR2004 - as Excel writes it
        separator, skipped = lines[skipped].rstrip("\r\n")[4:], skipped + 1
    body = "".join(lines[skipped:])
    separator = separator or _separator(body)
    try:
        rows = list(_records(body, separator, skipped + 1))
    except csv.Error as error:
        raise BrokenSource(f"is not CSV: {error}") from None
    heading = _heading(rows, lines[skipped - 1] if skipped else "", separator)
    table = Table(_distinct(heading), [], separator)
    for row in rows:
        beyond = row.cells[len(heading) :]
        if any(cell.strip() for cell in beyond) and len(heading) < MAX_CELLS:
            shown = separator.join(row.cells)[:MAX_SHOWN]
            table.problems.append(
                f"row {row.number} has {len(row.cells)} cells and the heading has {len(heading)}: {shown}"
            )
        else:
            padding = [""] * (len(heading) - len(row.cells))
            table.rows.append(TableRow(row.number, [*row.cells[: len(heading)], *padding]))
    return table


def _heading(rows: list[TableRow], line_above: str, separator: str) -> list[str]:
    """Take the heading from the rows, or from a remark above rows of numbers, as in `# week,visits`."""
    above = next(csv.reader([line_above.lstrip("# ").rstrip()], delimiter=separator), [])
    if rows and 1 < len(above) == len(rows[0].cells) and _are_numbers(rows[0].cells[1:]):
        return above
    if rows and not _is_data(rows[0].cells):
        return rows.pop(0).cells[:MAX_CELLS]
    return [""] * max((len(row.cells) for row in rows), default=0)


def _records(text: str, separator: str, first: int) -> Iterator[TableRow]:
    """Yield the rows that are not empty and not a remark; one as wide as the heading is not (`#1001,2026-11-01,5`)."""
    reader, start, width = csv.reader(io.StringIO(text, newline=""), delimiter=separator), first, 0
    for cells in reader:
        number, start, width = start, first + reader.line_num, width or len(cells)
        is_remark = cells[:1] and cells[0].startswith("#") and (len(cells) == 1 or len(cells) != width)
        if any(cell.strip() for cell in cells) and not is_remark:
            yield TableRow(number, list(cells))


def _separator(text: str) -> str:
    """Return the separator with which most rows are as wide as the first one, and the widest among equals."""
    head = "".join(text.splitlines(keepends=True)[:SAMPLE])

    def fit(separator: str) -> tuple[int, int]:
        try:
            widths = [len(row.cells) for row in _records(head, separator, 1)]
        except csv.Error:
            return 0, 0
        return (sum(width == widths[0] for width in widths), widths[0]) if widths and widths[0] > 1 else (0, 0)

    # A heading such as `Date;Turnover, net` fits both; a comma is also a decimal mark, and so it comes last.
    best = max((";", "\t", "|", ","), key=fit)
    return best if fit(best)[0] else ","


def _is_data(cells: Sequence[str]) -> bool:
    """Return whether a first row holds data instead of names: a date, and numbers after it."""
    return _are_numbers(cells[1:]) and dates.month_first(cells[0]) is not None


def _are_numbers(cells: Sequence[str]) -> bool:
    numbers = [figures.read(cell, ".") is not None for cell in cells if not figures.is_missing(cell)]
    return bool(numbers) and all(numbers)


def _distinct(heading: Sequence[str]) -> list[str]:
    """Return a name of its own for each column."""
    names: list[str] = []
    for number, cell in enumerate(heading, 1):
        name = wanted = " ".join(cell.split()) or f"column {number}"
        names.append(f"{wanted} ({number})" if name in names else name)
    return names


def _of_json(text: str) -> Table:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BrokenSource(f"is not JSON: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BrokenSource('is not a list of objects; write [{"date": "2026-11-01", "visits": 3}, …]')
    names = list(islice(dict.fromkeys(name for row in rows for name in row), MAX_CELLS))
    return Table(names, [TableRow(number, [row.get(name) for name in names]) for number, row in enumerate(rows, 1)])


# Order and columns


def ordered(table: Table) -> tuple[int, list[TableRow]]:
    """Put the rows in the order of their dates.

    Returns:
        The number of the column that labels the rows, and the newest rows, the oldest first. It is the first column of
        dates; without one it is the first column, and the rows keep the order of the file, unless it counts down.

    """
    label = next((column for column in range(len(table.names)) if _holds_dates(table, column)), None)
    if label is None:
        return 0, _by_number(table)[-MAX_ROWS:]
    texts = [_text(row.cells[label]) for row in table.rows]
    read_date = dates.reader(texts[:MAX_ROWS])
    ends = [moment for text in (*texts[:SAMPLE], *texts[-SAMPLE:]) if (moment := read_date(text))]
    rows = table.rows[::-1] if ends and ends[0] > ends[-1] else table.rows
    dated = []
    for row in rows[-MAX_SORTED:]:
        text = _text(row.cells[label])
        if moment := read_date(text):
            dated.append((moment, row))
        else:
            table.problems.append(f"row {row.number} has no date: {text[:MAX_SHOWN]!r}")
    moments = [moment for moment, _ in dated]
    if all(moment.year == dates.YEARLESS and str(moment.year) not in _text(row.cells[label]) for moment, row in dated):
        moments = dates.across_years(moments)
    by_date = sorted(zip(moments, (row for _, row in dated), strict=True), key=lambda each: each[0])
    return label, [row for _, row in by_date][-MAX_ROWS:]


def _holds_dates(table: Table, column: int) -> bool:
    """Return whether most cells of a column are dates; plain numbers are dates in the first column, or by its name."""
    texts = [text for row in table.rows[:SAMPLE] if (text := _text(row.cells[column]))]
    if column and all(map(dates.is_number, texts)) and not _DATE_NAMES & set(table.names[column].casefold().split("_")):
        return False
    return 2 * sum(dates.month_first(text) is not None for text in texts) > len(texts)


def _by_number(table: Table) -> list[TableRow]:
    """Return rows without dates, the oldest first: turned around if their labels count down, as `week 48`, `week 47` do."""
    found = [_NUMBERED.fullmatch(_text(row.cells[0])) for row in table.rows] if table.names else []
    numbers = [int(match[2]) for match in found if match]
    is_count = len(found) == len(numbers) and len({(match[1], match[3]) for match in found if match}) == 1
    if is_count and all(a > b for a, b in pairwise(numbers)):
        return table.rows[::-1]
    if len(found) > 1 and not (is_count and all(a < b for a, b in pairwise(numbers))):
        table.problems.append("no column of dates is found, so the last row is taken for the newest")
    return table.rows


def columns(table: Table, label: int, rows: Sequence[TableRow]) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    """Yield the name of each column of numbers and its values, each with the label of its row.

    What cannot be read in them, and the columns of words, are noted in the table.
    """
    others = [column for column in range(len(table.names)) if column != label]
    proven = figures.decimal_mark(row.cells[column] for row in rows for column in others)
    default: figures.Mark = "," if table.separator == ";" else "."
    for column in others:
        cells = [(row, row.cells[column]) for row in rows if not figures.is_missing(row.cells[column])]
        mark = proven or figures.decimal_mark(cell for _, cell in cells) or default
        values = [(row, cell, figures.read(cell, mark)) for row, cell in cells]
        unread = [(row, cell) for row, cell, value in values if value is None]
        if 2 * len(unread) > len(cells):
            table.words.append(table.names[column])
            continue
        name = table.names[column]
        table.cells += [
            f"row {row.number}, {name!r}: {_text(cell)[:MAX_SHOWN]!r} is not a number" for row, cell in unread
        ]
        found = [(_text(row.cells[label]), value) for row, _, value in values if value is not None]
        if found:
            yield name, found


def _text(cell: Any) -> str:
    return "" if cell is None else " ".join(str(cell).split())
