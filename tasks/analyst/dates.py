"""Read dates as people and programs write them, so that the rows of a table can be put in order."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from dateutil import parser

#: Characters of a date; longer texts are not tried.
MAX_LENGTH = 40

#: The year of dates that have none; a leap year.
YEARLESS = 2000
A_YEAR, HALF_A_YEAR, ZERO = timedelta(days=366), timedelta(days=183), timedelta()

#: A year, a day as eight digits, or seconds or milliseconds since 1970: also numbers of other kinds look like this.
_NUMBER = re.compile(r"(?:19|20)\d\d(?:[01]\d[0-3]\d)?|1\d{9}(?:\d{3})?(?:\.\d+)?")
_MONTH = re.compile(
    r"(?i)(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\b.*\d|\d.*(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
)
_DAY_AND_MONTH = re.compile(r"\D*(\d{1,2})([./-])(\d{1,2})\2(?:\d{4}|\d{2})(?!\d)")
#: Without a day only with `-` or `/`: `1234.5` is a number.
_YEAR_FIRST = re.compile(r"((?:1[6-9]|20)\d\d)(?:([./-])(\d{1,2})\2(\d{1,2})|[/-](\d{1,2}))(?!\d)")
_WEEK = re.compile(r"\d{4}-?W\d")
_QUARTER = re.compile(r"(?i)(\d{4})[ -]?Q([1-4])|Q([1-4])[ /-]?(\d{4})")


def reader(texts: Sequence[str]) -> Callable[[str], datetime | None]:
    """Return a function that reads dates in the form of these texts, or None for a text that is not a date.

    Whether the day or the month comes first is taken from a text that allows one reading only, then from the separator
    (`1.2.2026` begins with the day), and then from the order: rows are sorted by date in one direction.
    """
    found = [match for text in texts if (match := _DAY_AND_MONTH.match(text))]
    if any(int(match[3]) > 12 for match in found):  # noqa: PLR2004 - months
        return month_first
    if any(int(match[1]) > 12 or match[2] == "." for match in found):  # noqa: PLR2004 - months
        return day_first
    return month_first if _is_sorted(texts, month_first) or not _is_sorted(texts, day_first) else day_first


def month_first(text: str) -> datetime | None:
    """Read a date in UTC without a zone; `1/2/2026` is 2 January."""
    return _read(text, day_comes_first=False)


def day_first(text: str) -> datetime | None:
    """Read a date in UTC without a zone; `1/2/2026` is 1 February."""
    return _read(text, day_comes_first=True)


def across_years(moments: Sequence[datetime]) -> list[datetime]:
    """Move dates without a year, which are read as of YEARLESS, so that a row after a New Year is later than those before.

    Args:
        moments: The dates in the order of the file, which runs forwards or backwards.

    """
    steps = [after - before for before, after in pairwise(moments)]
    small = [step for step in steps if abs(step) <= HALF_A_YEAR]
    direction = -1 if sum(step < ZERO for step in small) > sum(step > ZERO for step in small) else 1
    moved, years = list(moments[:1]), 0
    for step, moment in zip(steps, moments[1:], strict=True):
        if -step * direction > HALF_A_YEAR:
            years += direction
        moved.append(moment + years * A_YEAR)
    return moved


def is_number(text: str) -> bool:
    """Return whether a text is a date only if its column is one of dates: a year, or a time since 1970."""
    return bool(_NUMBER.fullmatch(text.strip()))


def _read(text: str, *, day_comes_first: bool) -> datetime | None:
    try:
        return _plain(_parsed(text.strip()[: MAX_LENGTH + 1], day_comes_first=day_comes_first))
    except (ValueError, OverflowError, OSError):
        return None


def _parsed(text: str, *, day_comes_first: bool) -> datetime:
    """Parse a date, with or without a zone; raises ValueError."""
    if is_number(text):
        return _of_number(text)
    if quarter := _QUARTER.fullmatch(text):
        year, number = quarter[1] or quarter[4], quarter[2] or quarter[3]
        return datetime(int(year), 3 * int(number) - 2, 1, tzinfo=UTC)
    if _YEAR_FIRST.match(text) or _WEEK.match(text):
        return datetime.fromisoformat(_YEAR_FIRST.sub(_iso, text, count=1))
    if len(text) > MAX_LENGTH or not (_DAY_AND_MONTH.match(text) or _MONTH.search(text)):
        raise ValueError(text)
    found: datetime = parser.parse(
        text, dayfirst=day_comes_first, ignoretz=True, default=datetime(YEARLESS, 1, 1, tzinfo=UTC)
    )
    return found


def _of_number(text: str) -> datetime:
    if len(text) == 4:  # noqa: PLR2004 - a year
        return datetime(int(text), 1, 1, tzinfo=UTC)
    if len(text) == 8:  # noqa: PLR2004 - 20261101
        return datetime.fromisoformat(text)
    seconds = float(text) / (1000 if len(text.partition(".")[0]) == 13 else 1)  # noqa: PLR2004 - milliseconds
    return datetime.fromtimestamp(seconds, UTC)


def _iso(date: re.Match[str]) -> str:
    return f"{date[1]}-{date[3] or date[5]:0>2}-{date[4] or 1:0>2}"


def _plain(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _is_sorted(texts: Sequence[str], read: Callable[[str], datetime | None]) -> bool:
    moments = [moment for text in texts if (moment := read(text))]
    return all(a <= b for a, b in pairwise(moments)) or all(a >= b for a, b in pairwise(moments))
