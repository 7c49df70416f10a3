"""A cron line in a time zone, and the moments it stands for: the same ones whether one looks forward or back.

A line with a fixed minute and hour runs once per matching local time, as in Debian's cron: a time that the clocks skip
runs as soon as they have been put forward, and a time that comes twice runs the first time. A line whose minute or hour
begins with `*` runs at every moment whose local time matches: a time that comes twice runs twice, a skipped one does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

#: minute hour day month weekday; cronsim would read a sixth as seconds, and no tick is that exact
FIELDS = 5
EXPLAINED = "write minute hour day month weekday"
MAX_LINE = 1000
#: Any change of a clock is smaller: Samoa skipped a day in 2011.
MAX_CHANGE = timedelta(hours=25)
SECOND = timedelta(seconds=1)


class CronError(ValueError):
    """Raised when a line cannot be read, or never comes; says what to write."""


@dataclass(frozen=True)
class Cron:
    """One line of five fields. All moments that come out are in UTC."""

    text: str
    zone: ZoneInfo

    def check(self, now: datetime) -> None:
        """Raise CronError unless there is a time for it before and after `now`, within 50 years."""
        if len(self.text.split()) != FIELDS:
            raise CronError(f"{len(self.text.split())} fields instead of {FIELDS}; {EXPLAINED}")
        if len(self.text) > MAX_LINE:
            raise CronError(f"{len(self.text)} characters; at most {MAX_LINE} fit a line; {EXPLAINED}")
        try:
            self.next_after(now)
            self.latest_before(now)
        except CronSimError as error:
            raise CronError(f"{error}; {EXPLAINED}") from None

    def next_after(self, moment: datetime) -> datetime:
        """The first moment after this one; raises CronError if there is none within 50 years."""
        try:
            return self._next_after(moment)
        except (StopIteration, OverflowError):
            raise self._never("after", moment) from None

    def latest_before(self, moment: datetime) -> datetime:
        """The newest moment that is not after this one; raises CronError if there is none within 50 years."""
        try:
            return self._latest_before(moment)
        except (StopIteration, OverflowError):
            raise self._never("before", moment) from None

    def between(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """Every moment from `begin` to `end`, both included, oldest first."""
        return takewhile(lambda moment: moment <= end, self._after(begin - timedelta(microseconds=1)))

    def _next_after(self, moment: datetime) -> datetime:
        found: list[datetime] = []
        # After a clock is put back, local times that were passed already come once more.
        begin = _local(moment, self.zone) - _put_back(moment, moment + MAX_CHANGE, self.zone)
        times = CronSim(self.text, begin)
        while True:
            # Without a zone local times are as calendars show them, with no changes to step over.
            moments = self._moments(next(times))
            found += [each for each in moments if each > moment]
            if moments and moments[0] > moment:
                return min(found)

    def _latest_before(self, moment: datetime) -> datetime:
        found: list[datetime] = []
        begin = _local(moment, self.zone) + _put_back(moment - MAX_CHANGE, moment, self.zone)
        times = CronSim(self.text, begin + SECOND, reverse=True)
        while True:
            moments = self._moments(next(times))
            found += [each for each in moments if each <= moment]
            if moments and moments[-1] <= moment:
                return max(found)

    def _after(self, moment: datetime) -> Iterator[datetime]:
        try:
            while True:
                moment = self.next_after(moment)
                yield moment
        except CronError:  # nothing in the 50 years to come, or the end of the calendar
            return

    @property
    def _is_fixed(self) -> bool:
        minute, hour, *_ = self.text.split()
        return not minute.startswith("*") and not hour.startswith("*")

    def _moments(self, local: datetime) -> list[datetime]:
        """When this local time comes: once, twice, or not at all."""
        first, second = (_moment(local, self.zone, fold) for fold in (0, 1))
        if first == second:
            return [first]
        if first < second:  # the clocks are put back: it comes twice
            return [first] if self._is_fixed else [first, second]
        return [_change(second, first, self.zone)] if self._is_fixed else []

    def _never(self, way: str, moment: datetime) -> CronError:
        return CronError(f"no such time comes within 50 years {way} {moment:%Y-%m-%d}; {EXPLAINED}")


def _local(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def _moment(local: datetime, zone: ZoneInfo, fold: int) -> datetime:
    return local.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _put_back(begin: datetime, end: datetime, zone: ZoneInfo) -> timedelta:
    """By how much the clocks were put back between two moments."""
    return max(_offset(begin, zone) - _offset(end, zone), timedelta())


@lru_cache(maxsize=256)
def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The moment at which the clocks are put forward; one is before it, the other is not."""
    old = _offset(before, zone)
    while after - before > SECOND:
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        before, after = (middle, after) if _offset(middle, zone) == old else (before, middle)
    return after
