"""Count past attempts by outcome and duration, and by day."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from state.agents.events import PastAttempt
from tasks.reporter.charts import DASH

#: Days in a report, today included.
DAYS = 7


@dataclass(frozen=True)
class OutcomeCounts:
    """The outcomes of some attempts. A run is an attempt that started; a refused call did not start."""

    done: int = 0
    failed: int = 0
    unknown: int = 0
    refused: int = 0
    typical_ms: int | None = None  #: half of the runs took no longer (p50)
    slow_ms: int | None = None  #: 95 of 100 runs took no longer (p95)

    @property
    def runs(self) -> int:
        return self.done + self.failed + self.unknown

    @property
    def troubled(self) -> int:
        """Runs that failed or whose outcome is unknown."""
        return self.failed + self.unknown

    @property
    def share(self) -> str:
        """The share of successful runs; never rounded up to 100 %."""
        if not self.runs:
            return DASH
        return "100 %" if not self.troubled else f"{math.floor(1000 * self.done / self.runs) / 10:g} %"


@dataclass(frozen=True)
class Day:
    """One calendar day of the schedule's time zone."""

    date: date
    whole: bool  #: False for today, which is not over

    @property
    def label(self) -> str:
        return f"{self.date:%a} {self.date.day}"


def days(now: datetime) -> list[Day]:
    """Return the days of a report that is made at `now`, oldest first; today is the last."""
    return [Day(now.date() - timedelta(days=ago), whole=ago > 0) for ago in reversed(range(DAYS))]


def beginning(now: datetime) -> datetime:
    """Return the first moment of the first day."""
    return datetime.combine(days(now)[0].date, datetime.min.time(), now.tzinfo)


def count(past: Iterable[PastAttempt]) -> OutcomeCounts:
    """Count attempts by outcome, with the percentiles of their durations."""
    every = list(past)
    ends = [attempt.outcome for attempt in every]
    took = sorted(attempt.ms for attempt in every if attempt.outcome != "refused")
    return OutcomeCounts(
        ends.count("done"),
        ends.count("failed"),
        ends.count("unknown"),
        ends.count("refused"),
        percentile(took, 50),
        percentile(took, 95),
    )


def percentile(ordered: Sequence[int], percent: int) -> int | None:
    """Return the smallest of these values that `percent` per cent of them do not exceed; None if there are none."""
    return ordered[math.ceil(len(ordered) * percent / 100) - 1] if ordered else None


def day_of(ms: int, zone: ZoneInfo) -> date:
    """Return the calendar day of a time in milliseconds since 1970."""
    return datetime.fromtimestamp(ms / 1000, zone).date()
