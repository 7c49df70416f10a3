"""Read series of numbers from a table, and summarize each: level, trend, outliers."""

from __future__ import annotations

import csv
import json
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from statistics import fmean, median
from typing import Any

from pydantic import BaseModel, ConfigDict

from clients.sources import BrokenSource, Document, Parsed
from clients.text.markdown import shorten

#: The newest rows of a table: more than a year of days.
MAX_ROWS, MAX_COLUMNS = 400, 6
#: Columns that are read: each row is padded to the width of the header, which takes quadratic time for wide ones.
MAX_CELLS = 50
#: The newest values that are kept; together with those of other tables they must fit one fact.
MAX_VALUES = 28
#: Values on each side of a comparison; for daily values a week, so that both sides have a weekend.
WINDOW = 7
#: Percent; a smaller change counts as none.
MIN_CHANGE = 5.0
#: A modified z-score above this marks an outlier (Iglewicz and Hoaglin, 1993), in series of at least so many values.
MIN_SCORE, MIN_VALUES = 3.5, 8
MAX_OUTLIERS = 3
MAX_NAME = 60


Number = int | float


@dataclass(frozen=True)
class Series:
    """One column of numbers, oldest first, with the labels of its rows."""

    source: str
    name: str
    labels: tuple[str, ...]
    values: tuple[float, ...]


class Outlier(BaseModel):
    """A value far from the usual one; `at` is the label of its row."""

    at: str
    value: Number
    usual: Number


class SeriesSummary(BaseModel):
    """The summary of one series.

    Attributes:
        source: The table's name.
        name: The column's name.
        first: The label of the oldest row.
        last: The label of the newest row.
        count: The number of values.
        total: Their sum.
        mean: Their mean.
        stride: The number of values on each side of the comparison; None if there are too few.
        change: The change from the median of the `stride` values before to that of the newest `stride`, in percent.
        unusual: The outliers.
        newest: The newest values.

    """

    model_config = ConfigDict(frozen=True)

    source: str
    name: str
    first: str
    last: str
    count: int
    total: Number
    mean: Number
    stride: int | None
    change: float | None
    unusual: list[Outlier]
    newest: list[Number]


def summarize(document: Document) -> Parsed[SeriesSummary]:
    """Summarize each series in a table; see `parse` and `describe` for what they raise."""
    return Parsed([describe(series) for series in parse(document.data, document.source)])


def parse(data: bytes, source: str) -> list[Series]:
    """Read the columns of numbers in a table.

    Args:
        data: A CSV file with a header, or a JSON list of objects. The first column labels the rows.
        source: The table's name.

    Raises:
        BrokenSource: the data is not such a table, or has no column of numbers.

    """
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise BrokenSource(f"is not UTF-8 at byte {error.start}") from None
    rows = _rows_of_json(text) if text.startswith(("[", "{")) else _rows_of_csv(text)
    columns = [column for name in _names(rows) if (column := _series(source, name, rows))][:MAX_COLUMNS]
    if not columns:
        raise BrokenSource("has no column of numbers; write a heading, then one row per day: date,visits")
    return columns


def describe(series: Series) -> SeriesSummary:
    """Summarize one series; raises OverflowError if its sum is too large."""
    values = series.values
    stride = min(WINDOW, len(values) // 2)
    return SeriesSummary(
        source=series.source,
        name=series.name,
        first=series.labels[0],
        last=series.labels[-1],
        count=len(values),
        total=_short(math.fsum(values)),
        mean=_short(fmean(values)),
        stride=stride or None,
        change=_change(values[-2 * stride : -stride], values[-stride:]) if stride else None,
        unusual=_unusual(series),
        newest=[_short(value) for value in values[-MAX_VALUES:]],
    )


def _rows_of_csv(text: str) -> list[dict[str, Any]]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        return _table(csv.reader(lines))
    except csv.Error as error:
        raise BrokenSource(f"is not CSV: {error}") from None


def _table(lines: Iterator[list[str]]) -> list[dict[str, Any]]:
    """Return the newest rows by column name; missing cells are empty."""
    header = next(lines, [])[:MAX_CELLS]
    newest = deque((row for row in lines if row), maxlen=MAX_ROWS)
    return [dict(zip(header, [*row[:MAX_CELLS], *[""] * len(header)], strict=False)) for row in newest]


def _rows_of_json(text: str) -> list[dict[str, Any]]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BrokenSource(f"is not JSON: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BrokenSource('is not a list of objects; write [{"date": "2026-11-01", "visits": 3}, …]')
    return rows[-MAX_ROWS:]


def _names(rows: list[dict[str, Any]]) -> list[str]:
    """Return the names of the columns after the first, which labels the rows."""
    return [name for name in islice(rows[0], 1, MAX_CELLS) if name] if rows else []


def _series(source: str, name: str, rows: list[dict[str, Any]]) -> Series | None:
    """Return one column, or None if it has anything but numbers and empty cells."""
    label = next(iter(rows[0]))
    cells = [(str(row.get(label, "")), _cell(row.get(name, ""))) for row in rows]
    numbers = [(shorten(at, MAX_NAME), value) for at, value in cells if value is not None]
    if not numbers or any(math.isnan(value) for _, value in numbers):
        return None
    labels, values = zip(*numbers, strict=True)
    return Series(source, shorten(str(name), MAX_NAME), labels, values)


def _cell(cell: Any) -> float | None:
    """Convert a cell to a number; None for an empty cell, NaN for anything else."""
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return None
    try:
        number = math.nan if isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _change(before: tuple[float, ...], after: tuple[float, ...]) -> float | None:
    """Return the change of the median in percent, which one outlier does not move; None if the old median is zero."""
    base = median(before)
    return round(100 * (median(after) - base) / abs(base), 1) if base else None


def _unusual(series: Series) -> list[Outlier]:
    values = series.values
    if len(values) < MIN_VALUES:
        return []
    usual = median(values)
    distances = [abs(value - usual) for value in values]
    spread = median(distances) / 0.6745 or fmean(distances) * 1.253314
    far = [i for i, distance in enumerate(distances) if spread and distance / spread > MIN_SCORE]
    farthest = sorted(far, key=lambda i: -distances[i])[:MAX_OUTLIERS]
    return [Outlier(at=series.labels[i], value=_short(values[i]), usual=_short(usual)) for i in sorted(farthest)]


def _short(value: float) -> Number:
    """Round to four digits; a whole number keeps all of its digits."""
    return round(value) if value == round(value) or abs(value) >= 1000 else float(f"{value:.4g}")  # noqa: PLR2004
