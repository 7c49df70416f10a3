"""Read series of numbers from a table, and summarize each: level, trend, outliers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, median

from pydantic import BaseModel, ConfigDict

from clients.sources import BrokenSource, Document, Parsed
from clients.text.markdown import shorten
from clients.text.words import listed
from tasks.analyst import table

#: Series of one table that are analysed.
MAX_COLUMNS = 6
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
    parsed = parse(document)
    return Parsed([describe(series) for series in parsed.parts], parsed.left_out)


def parse(document: Document) -> Parsed[Series]:
    """Read the columns of numbers in a table.

    Args:
        document: A CSV file with a heading, or a JSON list of objects. A column of dates, or the first one, labels the rows.

    Raises:
        BrokenSource: the document is not such a table, or has no column of numbers.

    """
    read = table.read(document)
    label, rows = table.ordered(read)
    columns = list(table.columns(read, label, rows))
    if not columns:
        told = read.left_out()
        raise BrokenSource(
            f"has no column of numbers{told and f' ({told})'}; write a heading, then a row per day: date,visits"
        )
    if unused := [name for name, _ in columns[MAX_COLUMNS:]]:
        read.problems.insert(0, f"only {MAX_COLUMNS} columns are analysed, not {listed(unused)}")
    found = [_series(document.source, name, values) for name, values in columns[:MAX_COLUMNS]]
    return Parsed(found, read.left_out())


def _series(source: str, name: str, labelled: list[tuple[str, float]]) -> Series:
    labels, values = zip(*labelled, strict=True)
    return Series(source, shorten(name, MAX_NAME), tuple(shorten(label, MAX_NAME) for label in labels), values)


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
