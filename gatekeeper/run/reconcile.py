"""An effect in doubt: ask the provider, and record what its answer proves."""

from __future__ import annotations

from typing import Any

import structlog

from gatekeeper.run.attempt import Attempt
from gatekeeper.run.execution import Ending, finished
from gatekeeper.run.lookup import Unanswered, look_up
from gatekeeper.run.responses import refusal
from state.ledger import owner

log = structlog.get_logger("gatehouse.gate")


def look_up_again(attempt: Attempt) -> Ending:
    """Look up the effect of an earlier attempt.

    If it is found, the attempt is done. That it is not found may be a proof, in time; the ledger decides.
    """
    attempt.payload, attempt.phase = attempt.claim.payload, "sending"
    # In this order, and both before the question: a process that lives a moment longer may send a moment longer.
    is_dead = owner.is_dead(attempt.claim.owner)
    began = owner.boot_clock()
    found = look_up(attempt)
    if found is not None and not isinstance(found, Unanswered):
        return finished(attempt, found)
    decided = attempt.ledger.reconcile(
        attempt.claim,
        absent=found is None,
        dead=is_dead,
        began=began,
        away_ms=None if found is None else found.away_ms,
        history=attempt.take_events(),
    )
    receipt = _receipt(decided)
    log.warning("looked up", **attempt.call.log_fields(), absent=found is None, **receipt)
    return Ending(answer=refusal(attempt.call.key, receipt))


def _receipt(decided: list[Any]) -> dict[str, Any]:
    match decided:
        case ["unknown", ms]:
            return {"error": "outcome unknown", "stage": "verify", "deferred": True, "retry_after": ms / 1000}
        case ["waiting"]:
            return {"error": "proven absent", "stage": "verify", "deferred": True, "retry_after": 0}
        case ["held", why]:
            return {"error": "held", "stage": "verify", "why": why}
        case [_, state]:
            return {"error": f"decided meanwhile: {state}", "stage": "verify"}
    raise AssertionError(f"reconcile.lua answered {decided!r}")
