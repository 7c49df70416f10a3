"""An effect in doubt: ask the provider, and take down what its answer proves."""

from __future__ import annotations

from typing import Any

import structlog

from gatekeeper.run.attempt import PATIENCE
from gatekeeper.run.execution import Execution
from gatekeeper.run.lookup import Unanswered, look_up
from gatekeeper.run.responses import Answer, refusal
from state.ledger import owner, reconcile
from state.redis import client

log = structlog.get_logger("gatehouse.gate")


def look(execution: Execution) -> Answer:
    """Look an earlier attempt up. Found: it is done. Not found: that may be proof, in time; the ledger decides."""
    attempt = execution.attempt
    attempt.payload, attempt.line = attempt.claim.payload, "sending"
    # In this order, and both before the question: who lives a moment longer may send a moment longer.
    is_dead = owner.is_dead(attempt.claim.owner)
    began = owner.boot_clock()
    found = look_up(execution.gate, attempt, execution.arguments)
    if found is not None and not isinstance(found, Unanswered):
        return execution.finished(found)
    ledger, events = attempt.ledger, attempt.take_events()
    said = client.retry_while_unavailable(
        lambda: reconcile.record(
            ledger.redis,
            ledger.journal,
            attempt.claim,
            absent=found is None,
            dead=is_dead,
            began=began,
            away_ms=None if found is None else found.away_ms,
            events=events,
        ),
        PATIENCE,
    )
    receipt = _receipt(said)
    call = attempt.call
    log.warning(
        "looked up", agent=call.agent, task=call.task, call=call.id, key=call.key, absent=found is None, **receipt
    )
    return refusal(call.key, receipt)


def _receipt(said: list[Any]) -> dict[str, Any]:
    match said:
        case ["unknown", ms]:
            return {"error": "outcome unknown", "stage": "verify", "deferred": True, "retry_after": ms / 1000}
        case ["waiting"]:
            return {"error": "proven absent", "stage": "verify", "deferred": True, "retry_after": 0}
        case ["held", why]:
            return {"error": "held", "stage": "verify", "why": why}
        case [_, state]:
            return {"error": f"decided meanwhile: {state}", "stage": "verify"}
    raise AssertionError(f"reconcile.lua answered {said!r}")
