"""A look-up: ask the provider whether it has an effect."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gatekeeper.policies.spec import MAX_RETRY_AFTER
from gatekeeper.redact import describe
from gatekeeper.run import prospects
from gatekeeper.run.attempt import Attempt, running
from gatekeeper.run.prospects import Prospect


@dataclass(frozen=True)
class Unanswered:
    """A look-up without an answer, which does not mean that nothing is there; `prospect` is that of asking again."""

    prospect: Prospect = field(default_factory=Prospect)

    @property
    def away_ms(self) -> int | None:
        """Return how many ms a service that says that it is away is to be left alone; None if it was there."""
        if not self.prospect.temporary:
            return None
        return round(min(self.prospect.retry_after or 0, MAX_RETRY_AFTER) * 1000)


def look_up(attempt: Attempt) -> Any:
    """Return what the provider has of this effect, None if it has nothing, Unanswered if it does not say."""
    verify = attempt.spec.verify
    if not verify:
        return Unanswered()
    try:
        with running(attempt):
            found = verify.call_json(attempt.payload, attempt.arguments)
    except BaseException as problem:  # noqa: BLE001 - a look-up that fails, however it does, proves nothing, and is recorded
        attempt.append_event("verify", outcome=f"failed: {describe(problem)}")
        return Unanswered(prospects.of(problem))
    if found is False:
        attempt.append_event("verify", outcome="failed: it answered False; answer None if nothing is there")
        return Unanswered()
    attempt.append_event("verify", outcome="not found" if found is None else "found")
    if found is not None:
        attempt.phase = "applied"
    return found
