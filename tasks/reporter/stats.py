"""Count past attempts by outcome and duration, by day, and by the stage of the gate that refused them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from state.agents.events import PastAttempt
from tasks.reporter.charts import DASH

#: Days in a report, today included.
DAYS = 7
#: From the bottom of a chart's column to its top.
OUTCOMES = ("done", "failed", "unknown", "refused")
#: The reason of a refusal at each stage of the gate.
STAGE_MEANINGS = {
    "input": "the arguments are invalid",
    "key": "the key is in use, in doubt, or was used with other arguments",
    "paused": "the agent was paused",
    "age": "the call was too old",
    "cap": "the cap was reached",
    "budget": "the budget of tokens was used up",
    "rate": "the rate was exceeded",
    "breaker": "the breaker was open",
    "ledger": "effects were closed, or Redis was away",
    "line": "the agent was paused, or the answer of the model was not good enough, just before the effect",
    "task": "the task itself refused",
}


@dataclass(frozen=True)
class OutcomeCounts:
    """The outcomes of some attempts. A run is an attempt that started; a refused call did not start."""

    done: int = 0
    failed: int = 0
    unknown: int = 0
    refused: int = 0
    flawed: int = 0  #: done, but with an error
    other_errors: int = 0  #: attempts that the task itself refused, and errors that only the state file lists
    typical_ms: int | None = None  #: half of the runs took no longer (p50)
    slow_ms: int | None = None  #: 95 of 100 runs took no longer (p95)

    @property
    def runs(self) -> int:
        return self.done + self.failed + self.unknown

    @property
    def by_outcome(self) -> dict[str, int]:
        return {outcome: getattr(self, outcome) for outcome in OUTCOMES}

    @property
    def troubled(self) -> int:
        """Runs that failed or whose outcome is unknown."""
        return self.failed + self.unknown

    @property
    def errors(self) -> int:
        return self.troubled + self.flawed + self.other_errors

    @property
    def share(self) -> str:
        """The share of attempts without an error; refusals of the gate do not count. Never rounded up to 100 %."""
        attempts = self.runs + self.other_errors
        if not attempts:
            return DASH
        return "100 %" if not self.errors else f"{math.floor(1000 * (attempts - self.errors) / attempts) / 10:g} %"


@dataclass(frozen=True)
class StageRefusals:
    """Refusals at one stage, day by day."""

    name: str
    means: str
    per_day: list[int]

    @property
    def total(self) -> int:
        return sum(self.per_day)


def days(now: datetime) -> list[date]:
    """Return the days of a report that is made at `now`, oldest first; today is the last."""
    return [now.date() - timedelta(days=ago) for ago in reversed(range(DAYS))]


def beginning(now: datetime) -> datetime:
    """Return the first moment of the first day."""
    return datetime.combine(days(now)[0], datetime.min.time(), now.tzinfo)


def count(past: Iterable[PastAttempt], listed: int = 0) -> OutcomeCounts:
    """Count attempts by outcome, with the percentiles of their durations.

    Args:
        past: The attempts.
        listed: How many errors of that time the agents' state files list; they may know more than the event stream.

    """
    every = list(past)
    ends = Counter(attempt.outcome for attempt in every)
    took = sorted(attempt.ms for attempt in every if attempt.outcome != "refused")
    done, failed, unknown, refused = (ends[outcome] for outcome in OUTCOMES)
    with_error = Counter(attempt.outcome for attempt in every if attempt.error)
    flawed, other_errors = (
        with_error["done"],
        max(with_error["refused"], listed - failed - unknown - with_error["done"]),
    )
    return OutcomeCounts(
        done, failed, unknown, refused, flawed, other_errors, percentile(took, 50), percentile(took, 95)
    )


def by_stage(past: Sequence[PastAttempt], days: Sequence[date], zone: ZoneInfo) -> list[StageRefusals]:
    """Count the refusals of each stage and day; the stage with the most comes first."""
    refused = [attempt for attempt in past if attempt.outcome == "refused"]
    count = Counter((attempt.stage or "task", day_of(attempt.at_ms, zone)) for attempt in refused)
    names = {name for name, _ in count}
    found = [StageRefusals(name, STAGE_MEANINGS.get(name, ""), [count[name, day] for day in days]) for name in names]
    return sorted(found, key=lambda stage: (-stage.total, stage.name))


def percentile(ordered: Sequence[int], percent: int) -> int | None:
    """Return the smallest of these values that `percent` per cent of them do not exceed; None if there are none."""
    return ordered[math.ceil(len(ordered) * percent / 100) - 1] if ordered else None


def day_of(ms: int, zone: ZoneInfo) -> date:
    """Return the calendar day of a time in milliseconds since 1970."""
    return datetime.fromtimestamp(ms / 1000, zone).date()
