"""Refusals, by the stage of the gate that refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from state.agents.events import PastAttempt
from tasks.reporter import stats
from tasks.reporter.stats import Day

#: What each stage of the gate says no to.
STAGE_MEANINGS = {
    "input": "arguments that do not fit",
    "key": "under way already, in doubt, or used with other arguments",
    "paused": "the agent was paused",
    "age": "the call was too old",
    "cap": "enough for that time",
    "rate": "too many at once",
    "breaker": "what it needs was failing",
    "task": "the task itself said no",
}


@dataclass(frozen=True)
class StageRefusals:
    """Refusals at one stage, day by day."""

    name: str
    means: str
    per_day: list[int]

    @property
    def total(self) -> int:
        return sum(self.per_day)


def by_stage(past: Sequence[PastAttempt], days: Sequence[Day], zone: ZoneInfo) -> list[StageRefusals]:
    """Every stage that refused something, the busiest first."""
    refused = [attempt for attempt in past if attempt.outcome == "refused"]
    count = Counter((attempt.stage or "task", stats.day_of(attempt.at_ms, zone)) for attempt in refused)
    names = {name for name, _ in count}
    found = [
        StageRefusals(name, STAGE_MEANINGS.get(name, ""), [count[name, day.date] for day in days]) for name in names
    ]
    return sorted(found, key=lambda stage: (-stage.total, stage.name))
