"""The small dicts that a task answers with: its result, a flaw, or a refusal; some messages get none."""

from __future__ import annotations

import json
from typing import Any

import structlog

from gatekeeper.errors import InvalidArguments, LedgerUnavailable
from gatekeeper.policies.spec import KEEP_MS
from gatekeeper.redact import clean, describe
from gatekeeper.run import arrival as messages
from gatekeeper.run.arrival import Arrival
from state.decision import ArgumentsDiffer, Decision, KeyInUse, NotDue, Refusal, Replay, Unregistered
from state.errors import RedisAway
from state.ledger import Ledger
from state.model import AttemptResult, Call

Answer = dict[str, Any]

log = structlog.get_logger("gatehouse.gate")


class Duplicate(Exception):
    """Raised for a second message of a call whose first is still at work; there is nothing to answer."""


def of_result(key: str, result: str, flaw: str, *, replayed: bool = False) -> Answer:
    """Return the answer of a task that ran, now or before; `result` and `flaw` are JSON texts, as the ledger stores them."""
    if flaw:
        return {"ok": False, "key": key, "result": None, **json.loads(flaw), "replayed": replayed}
    return {"ok": True, "key": key, **json.loads(result), "replayed": replayed}


def refusal(key: str | None, receipt: dict[str, Any]) -> Answer:
    """Return the answer of a task that did not run; the receipt says why, and when it may."""
    return {"ok": False, "key": key, **receipt}


def of_attempt(key: str, result: AttemptResult) -> Answer:
    """Return the answer of an attempt that was settled."""
    return of_result(key, result.result, result.flaw) if result.outcome == "done" else refusal(key, result.receipt)


def of_decision(call: Call, decision: Decision) -> Answer:
    """Answer a call that was not admitted.

    Raises:
        Duplicate: Another message of the same call is at work.
        NotThisCall: The message is not that of its call.
        LedgerUnavailable: Redis was started anew; nothing ran.

    """
    match decision:
        case Replay(result, flaw):
            log.info("replayed", **call.log_fields())
            return of_result(call.key, result, flaw, replayed=True)
        case Refusal(receipt):
            # A receipt may name the task to which the key belongs; the line is about this call.
            log.info("deferred" if decision.is_deferred else "refused", **(receipt | call.log_fields()))
            return refusal(call.key, receipt)
        case KeyInUse(call=at_work):
            raise Duplicate(f"{call.key}: call {at_work} is at work")
        case ArgumentsDiffer() as found:
            raise messages.differs(call, found)
        case NotDue() as found:
            raise messages.early(call, found)
    raise LedgerUnavailable(
        f"call {call.id} of {call.task}: nothing ran, Redis was started anew once more, or recovers; the call is sent again"
    )


def reject(ledger: Ledger, call: Call, arrival: Arrival, error: InvalidArguments) -> Answer:
    """Refuse a call whose arguments do not fit its task.

    Raises:
        Duplicate: The call of this id goes on, or is over; these arguments change nothing.
        NotThisCall: The message is not that of its call.
        LedgerUnavailable: Redis does not answer.

    """
    receipt = {"error": "invalid arguments", "stage": "input", "detail": clean(str(error))}
    try:
        state = ledger.reject(call, receipt, KEEP_MS, arrival.sent, checked=arrival.checked)
        if isinstance(state, Unregistered):
            arrival = arrival.check_elsewhere(ledger, call)
            state = ledger.reject(call, receipt, KEEP_MS, arrival.sent, checked=arrival.checked)
    except RedisAway as away:
        raise unavailable(call, away) from away
    if isinstance(state, ArgumentsDiffer):
        raise messages.refusal(call, f"its arguments: {error}")
    if state != "rejected":
        raise Duplicate(f"call {call.id} is {state}; these arguments change nothing")
    log.info("refused", **call.log_fields(), **receipt)
    return refusal(None, receipt)


def unavailable(call: Call, error: RedisAway) -> LedgerUnavailable:
    """Return what to raise when Redis does not answer before a call is admitted."""
    return LedgerUnavailable(f"call {call.id} of {call.task}: nothing ran, Redis does not answer: {describe(error)}")
