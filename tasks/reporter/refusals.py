"""Count refused calls by the stage of the gate that refused them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from state.agents.events import PastAttempt
from tasks.reporter import stats
from tasks.reporter.stats import Day

#: The reason of a refusal at each stage of the gate.
STAGE_MEANINGS = {
    "input": "the arguments are invalid",
    "key": "the key is in use, in doubt, or was used with other arguments",
    "paused": "the agent was paused",
    "age": "the call was too old",
    "cap": "the cap was reached",
    "rate": "the rate was exceeded",
    "breaker": "the breaker was open",
    "task": "the task itself refused",
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
    """Count the refusals of each stage and day; the stage with the most comes first."""
    refused = [attempt for attempt in past if attempt.outcome == "refused"]
    count = Counter((attempt.stage or "task", stats.day_of(attempt.at_ms, zone)) for attempt in refused)
    names = {name for name, _ in count}
    found = [
        StageRefusals(name, STAGE_MEANINGS.get(name, ""), [count[name, day.date] for day in days]) for name in names
    ]
    return sorted(found, key=lambda stage: (-stage.total, stage.name))
