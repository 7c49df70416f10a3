"""A look-up: ask the provider whether it has an effect."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gatekeeper.policies.spec import MAX_RETRY_AFTER, TaskSpec
from gatekeeper.redact import describe
from gatekeeper.run import prospects
from gatekeeper.run.attempt import Attempt, running
from gatekeeper.run.prospects import Prospect


@dataclass(frozen=True)
class Unanswered:
    """A look-up that says nothing, which is not that nothing is there; `prospect` is that of asking again."""

    prospect: Prospect = field(default_factory=Prospect)

    @property
    def away_ms(self) -> int | None:
        """How long a service that is away, and says so, is to be left alone; None if it was there."""
        if not self.prospect.temporary:
            return None
        return round(min(self.prospect.retry_after or 0, MAX_RETRY_AFTER) * 1000)


def look_up(gate: TaskSpec, attempt: Attempt, arguments: dict[str, Any]) -> Any:
    """What the provider has of this effect, None if it has nothing, Unanswered if nobody knows."""
    if not gate.verify:
        return Unanswered()
    try:
        with running(attempt):
            found = gate.verify.call_json(attempt.payload, arguments)
    except BaseException as problem:  # noqa: BLE001 - a look-up that fails, however it does, proves nothing, and is told
        attempt.tell("verify", outcome=f"failed: {describe(problem)}")
        return Unanswered(prospects.of(problem))
    if found is False:
        attempt.tell("verify", outcome="failed: it answered False; answer None if nothing is there")
        return Unanswered()
    attempt.tell("verify", outcome="not found" if found is None else "found")
    if found is not None:
        attempt.line = "applied"
    return found
