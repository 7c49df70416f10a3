"""Series of numbers from a table, and what there is to say about one: its level, its trend, what is unusual in it."""

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

from clients.sources import BrokenSource
from clients.text.markdown import shorten

#: The newest rows of a table: more than a year of days.
MAX_ROWS, MAX_COLUMNS = 400, 6
#: Columns that are looked at for numbers. A row has as many cells as the heading, so that wide headings cost by the square.
MAX_CELLS = 50
#: Values that are kept as they are; with those of other tables they must fit one fact.
MAX_VALUES = 28
#: Steps on both sides of a comparison; for days this is a week, so that weekends fall on both.
WINDOW = 7
#: A change below this many percent is none.
MIN_CHANGE = 5.0
#: From the textbook (Iglewicz and Hoaglin, 1993): a modified z-score above it is worth a look, from eight values on.
UNUSUAL, ENOUGH = 3.5, 8
MAX_UNUSUAL = 3
MAX_NAME = 60


Number = int | float


@dataclass(frozen=True)
class Series:
    """One column of numbers, oldest first, with what its rows are called."""

    source: str
    name: str
    labels: tuple[str, ...]
    values: tuple[float, ...]


class Outlier(BaseModel):
    """A value far from the usual one."""

    at: str
    value: Number
    usual: Number


class SeriesSummary(BaseModel):
    """What is known of one series; `change` compares the median of its newest `stride` values with that of those before, in percent."""

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


def summarize(data: bytes, source: str) -> list[SeriesSummary]:
    """What is known of each series in a table; raises BrokenSource or OverflowError, and the table is told as broken."""
    return [describe(series) for series in parse(data, source)]


def parse(data: bytes, source: str) -> list[Series]:
    """Every column of numbers in a CSV file with a heading, or in a JSON list of objects; raises BrokenSource."""
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise BrokenSource(f"is not UTF-8 at byte {error.start}") from None
    rows = _rows_of_json(text) if text.startswith(("[", "{")) else _rows_of_csv(text)
    found = [one for name in _names(rows) if (one := _series(source, name, rows))][:MAX_COLUMNS]
    if not found:
        raise BrokenSource("has no column of numbers; write a heading, then one row per day: date,visits")
    return found


def describe(series: Series) -> SeriesSummary:
    """Look at one series; raises OverflowError for numbers that cannot be added up."""
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
        raise BrokenSource(f"is no CSV: {error}") from None


def _table(lines: Iterator[list[str]]) -> list[dict[str, Any]]:
    """The newest rows, each with the first columns of the heading; a cell that is missing is a gap."""
    heading = next(lines, [])[:MAX_CELLS]
    newest = deque((row for row in lines if row), maxlen=MAX_ROWS)
    return [dict(zip(heading, [*row[:MAX_CELLS], *[""] * len(heading)], strict=False)) for row in newest]


def _rows_of_json(text: str) -> list[dict[str, Any]]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BrokenSource(f"is no JSON: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BrokenSource('is no list of objects; write [{"date": "2026-11-01", "visits": 3}, …]')
    return rows[-MAX_ROWS:]


def _names(rows: list[dict[str, Any]]) -> list[str]:
    """The columns after the first, which says what a row is called."""
    return [name for name in islice(rows[0], 1, MAX_CELLS) if name] if rows else []


def _series(source: str, name: str, rows: list[dict[str, Any]]) -> Series | None:
    """None for a column that holds anything but numbers and gaps."""
    label = next(iter(rows[0]))
    cells = [(str(row.get(label, "")), _cell(row.get(name, ""))) for row in rows]
    numbers = [(shorten(at, MAX_NAME), value) for at, value in cells if value is not None]
    if not numbers or any(math.isnan(value) for _, value in numbers):
        return None
    labels, values = zip(*numbers, strict=True)
    return Series(source, shorten(str(name), MAX_NAME), labels, values)


def _cell(cell: Any) -> float | None:
    """A number; None for a gap; NaN for what is neither."""
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return None
    try:
        number = math.nan if isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _change(before: tuple[float, ...], after: tuple[float, ...]) -> float | None:
    """The change of the median in percent, so that one odd day is no trend; None where there is nothing to compare with."""
    base = median(before)
    return round(100 * (median(after) - base) / abs(base), 1) if base else None


def _unusual(series: Series) -> list[Outlier]:
    values = series.values
    if len(values) < ENOUGH:
        return []
    usual = median(values)
    distances = [abs(value - usual) for value in values]
    spread = median(distances) / 0.6745 or fmean(distances) * 1.253314
    far = [i for i, distance in enumerate(distances) if spread and distance / spread > UNUSUAL]
    farthest = sorted(far, key=lambda i: -distances[i])[:MAX_UNUSUAL]
    return [Outlier(at=series.labels[i], value=_short(values[i]), usual=_short(usual)) for i in sorted(farthest)]


def _short(value: float) -> Number:
    """Four digits are enough for a reader; a whole number keeps all of its own."""
    return round(value) if value == round(value) or abs(value) >= 1000 else float(f"{value:.4g}")  # noqa: PLR2004
