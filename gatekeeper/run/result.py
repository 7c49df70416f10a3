"""How an attempt ended, and what is told of it: to the ledger, to the key's story, to the state file, to the log."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from gatekeeper.run.attempt import Attempt
from state.journal.events import Outcome, Settlement

#: The total that an outcome adds to; every other one counts as a failure.
_TOTALS = {"done": "total_done", "refused": "total_refused"}


@dataclass(frozen=True)
class Ending:
    """One end of one attempt. What the attempt remembered and counted is kept only if it is `done`."""

    outcome: Outcome
    result: str = ""  #: JSON text
    flaw: str = ""  #: JSON text: what is wrong with an answer that came
    error: str = ""
    retry_ms: int | None = None  #: when the call asks again
    receipt: dict[str, Any] = field(default_factory=dict)  #: of a refusal, or of a failure that is waited out
    waits: bool = False  #: it failed without effect for a reason that passes: no attempt of the call
    look_ms: int = 0  #: how long the provider that should be asked wants to be left alone

    def told(self, attempt: Attempt) -> dict[str, Any]:
        """For the story and the log."""
        told = _numbers(attempt) | ({"error": self.error} if self.error else {}) | self.receipt
        return told if self.retry_ms is None else told | {"retry_after": self.retry_ms / 1000}

    def settlement(self, attempt: Attempt, told: dict[str, Any]) -> Settlement:
        """For the ledger; `told` is what the log says too. It takes the events that the attempt told so far, and this end as the last of them."""
        is_done = self.outcome == "done"
        remembered = {"remembered": ["/".join(path) for path in attempt.facts]} if is_done and attempt.facts else {}
        attempt.tell(self.outcome, **told, **remembered)
        return Settlement(
            self.outcome,
            self.result,
            self.flaw,
            error=self._as_listed(attempt) if self.error else "",
            answer="" if is_done else json.dumps(self.receipt or {"error": self.error, "stage": "task"}),
            retry_ms=self.retry_ms,
            waits=self.waits,
            look_ms=self.look_ms,
            effect_happened=attempt.line == "applied",
            facts=tuple(attempt.facts.values()) if is_done else (),
            counters=self._counters(attempt),
            summary=json.dumps(self._summary(attempt)),
            payload=attempt.payload,
            events=attempt.take_events(),
        )

    def _summary(self, attempt: Attempt) -> dict[str, Any]:
        """The attempt as the event stream keeps it."""
        summary = {"outcome": self.outcome, "task": attempt.call.task, "key": attempt.claim.key}
        return summary | ({"stage": self.receipt["stage"]} if self.receipt else {}) | _numbers(attempt)

    def _counters(self, attempt: Attempt) -> dict[str, int]:
        counters = dict(attempt.counters) if self.outcome == "done" else {}
        counters["total_deferred" if self.waits else _TOTALS.get(self.outcome, "total_failed")] = 1
        return counters | {"total_flawed": 1} if self.flaw else counters

    def _as_listed(self, attempt: Attempt) -> str:
        """The error as the state file lists it."""
        at = attempt.claim.admitted_ms + attempt.elapsed_ms
        call = attempt.call
        return json.dumps({"at": at, "task": call.task, "key": call.key, "call": call.id, "error": self.error})


def _numbers(attempt: Attempt) -> dict[str, Any]:
    return {"ms": attempt.elapsed_ms, "attempt": attempt.claim.attempt}
