"""One key or call as a person is told of it, and what the person is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from workers.commands import times


@dataclass(frozen=True)
class Told:
    """The three answers; `commands` can be pasted."""

    happened: str
    why: str
    now: str
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """One key or call: its record as `history.read_history` returns it, and what else its sentences need."""

    record: dict[str, Any]
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    answer: dict[str, Any] = field(default_factory=dict)  #: of the call: why it was refused or waits
    has_effect: bool = True
    can_look_up: bool = False
    workers: int = 1  #: how many run
    pause: dict[str, Any] | None = None  #: of the agent

    @property
    def state(self) -> str:
        return str(self.record["state"])

    @property
    def key(self) -> str:
        return str(self.record["key"] or self.record.get("call"))

    @property
    def call(self) -> str:
        return str(self.record.get("call") or self.key)

    @property
    def story(self) -> list[dict[str, Any]]:
        """Return the events with the numbers of the key's attempts.

        The events themselves have the number within their call. A call counts anew when a person lets it run again, and
        does not count an attempt that was stopped, so two attempts may have the same.
        """
        told, number = [], 0
        for event in self.record["story"]:
            if event["event"] == "claimed":
                number = max(number + 1, event.get("attempt") or self.record.get("attempts") or 0)
                told.append({**event, "attempt": number})
            else:
                told.append({**event, "attempt": number} if number and "attempt" in event else event)
        return told

    @property
    def attempts(self) -> int:
        """Return how many attempts there were, as far as is known."""
        return max(int(self.newest("claimed").get("attempt", 0)), int(self.record.get("attempts") or 0))

    def newest(self, *events: str) -> dict[str, Any]:
        """Return the newest of these events; empty if there is none."""
        return next((each for each in reversed(self.story) if each["event"] in events), {})

    def when(self, time: str | None) -> str:
        """Return a time for a person; empty for none."""
        return times.when(time, self.now) if time else ""
