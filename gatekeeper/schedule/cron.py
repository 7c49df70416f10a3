"""Compute the times of a cron expression in a time zone, forward and backward with the same result.

An expression with a fixed minute and hour runs once per matching local time, as in Debian's cron: a time that daylight
saving skips runs right after the change, and a time that occurs twice runs the first time. An expression whose minute or
hour begins with `*` runs whenever the local time matches: a time that occurs twice runs twice, a skipped one not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from itertools import takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

#: minute hour day month weekday; cronsim would read a sixth field as seconds, but ticks are not that precise
FIELDS = 5
EXPLAINED = "write minute hour day month weekday"
MAX_LINE = 1000
#: An expression for every so many minutes.
_EVERY = re.compile(r"\*/(\d+) \* \* \* \*")
MINUTES = 60

#: Longer than any change of local time: Samoa skipped a day in 2011.
MAX_CHANGE = timedelta(hours=25)
SECOND = timedelta(seconds=1)


class CronError(ValueError):
    """Raised when an expression is invalid or never occurs; the message says what to write."""


@dataclass(frozen=True)
class Cron:
    """A cron expression of five fields in a time zone. All returned times are in UTC."""

    text: str
    zone: ZoneInfo

    def check(self, now: datetime) -> None:
        """Raise CronError unless the expression is valid and occurs within 50 years before and after `now`."""
        if len(self.text.split()) != FIELDS:
            raise CronError(f"{len(self.text.split())} fields instead of {FIELDS}; {EXPLAINED}")
        if len(self.text) > MAX_LINE:
            raise CronError(f"{len(self.text)} characters; at most {MAX_LINE} fit a line; {EXPLAINED}")
        try:
            self.next_after(now)
            self.latest_before(now)
        except CronSimError as error:
            raise CronError(f"{error}; {EXPLAINED}") from None

    @cached_property
    def words(self) -> str:
        """The expression in words, such as "At 06:00 every day"; times are of its zone."""
        every = _EVERY.fullmatch(self.text)
        if (
            every and int(every[1]) > 1 and MINUTES % int(every[1]) == 0
        ):  # cronsim says "every 30th minute of every hour"
            return f"Every {every[1]} minutes"
        return str(CronSim(self.text, datetime.now(UTC)).explain())

    def next_after(self, moment: datetime) -> datetime:
        """Return the first time after `moment`; raises CronError if there is none within 50 years."""
        try:
            return self._next_after(moment)
        except (StopIteration, OverflowError):
            raise self._never("after", moment) from None

    def latest_before(self, moment: datetime) -> datetime:
        """Return the newest time that is not after `moment`; raises CronError if there is none within 50 years."""
        try:
            return self._latest_before(moment)
        except (StopIteration, OverflowError):
            raise self._never("before", moment) from None

    def between(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """Yield every time from `begin` to `end`, both included, oldest first."""
        return takewhile(lambda moment: moment <= end, self._after(begin - timedelta(microseconds=1)))

    def _next_after(self, moment: datetime) -> datetime:
        candidates: list[datetime] = []
        # After the clock is put back, local times occur again, so the search begins earlier.
        begin = _local(moment, self.zone) - _put_back(moment, moment + MAX_CHANGE, self.zone)
        times = CronSim(self.text, begin)
        while True:
            # cronsim counts in naive local time, which has no daylight-saving changes.
            moments = self._moments(next(times))
            candidates += [each for each in moments if each > moment]
            if moments and moments[0] > moment:
                return min(candidates)

    def _latest_before(self, moment: datetime) -> datetime:
        candidates: list[datetime] = []
        begin = _local(moment, self.zone) + _put_back(moment - MAX_CHANGE, moment, self.zone)
        times = CronSim(self.text, begin + SECOND, reverse=True)
        while True:
            moments = self._moments(next(times))
            candidates += [each for each in moments if each <= moment]
            if moments and moments[-1] <= moment:
                return max(candidates)

    def _after(self, moment: datetime) -> Iterator[datetime]:
        try:
            while True:
                moment = self.next_after(moment)
                yield moment
        except CronError:  # none within 50 years, or the end of the calendar
            return

    @property
    def _is_fixed(self) -> bool:
        minute, hour, *_ = self.text.split()
        return not minute.startswith("*") and not hour.startswith("*")

    def _moments(self, local: datetime) -> list[datetime]:
        """Return the UTC times of a local time: one, two, or none."""
        first, second = (_moment(local, self.zone, fold) for fold in (0, 1))
        if first == second:
            return [first]
        if first < second:  # the clock is put back: the local time occurs twice
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
    """Return by how much the clock was put back between two times; zero if it was not."""
    return max(_offset(begin, zone) - _offset(end, zone), timedelta())


@lru_cache(maxsize=256)
def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Return when the clock is put forward, a time after `before` and not after `after`."""
    old = _offset(before, zone)
    while after - before > SECOND:
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        before, after = (middle, after) if _offset(middle, zone) == old else (before, middle)
    return after
