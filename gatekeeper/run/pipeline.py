"""The way of one call through the gate: check, admit, attempt, settle, answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from gatekeeper.errors import InvalidArguments, LedgerUnavailable
from gatekeeper.policies.spec import KEEP_MS, TaskSpec
from gatekeeper.redact import clean, describe
from gatekeeper.run import arrival, reconcile
from gatekeeper.run.arrival import Arrival
from gatekeeper.run.attempt import Attempt
from gatekeeper.run.execution import Execution
from gatekeeper.run.http_guard import Wire
from gatekeeper.run.responses import Answer, flawed, refusal, success
from state.errors import JournalUnavailable, RedisAway
from state.ledger import Ledger, owner
from state.model import (
    ArgumentsDiffer,
    Call,
    CallLimits,
    Claim,
    Decision,
    KeyInUse,
    NeedsLookup,
    NeedsResync,
    NotDue,
    Refusal,
    RegisteredKey,
    Replay,
    Unregistered,
)
from state.recovery import audit, epoch

log = structlog.get_logger("gatehouse.gate")


class Duplicate(Exception):
    """Raised for a second message of a call whose first is still at work; there is nothing to answer."""


def run(
    gate: TaskSpec,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    call_id: str,
    door: str,
    came: Arrival | None = None,
) -> Answer:
    """Take one call through the gate; `came` says how its message differs from a call made right here.

    Returns the answer; raises what the task raised if the attempt failed, OutcomeUnknown if its effect is in doubt,
    Duplicate if another message of the same call is at work, NotThisCall if the message is not that of its call.
    """
    ledger, came = Ledger(), came or Arrival()
    try:
        arguments = gate.contract.bind(args, kwargs)
        call = gate.call_with(arguments, id=call_id, door=door)
    except InvalidArguments as error:
        return _reject(ledger, Call(call_id, gate.agent, gate.name, "", "{}", "", door), came, error)
    terms, began = gate.limits(arguments), owner.boot_clock()
    with _needing_redis(call):
        call, decision = _admit(ledger, call, terms, came)
    match decision:
        case Claim() as claim:
            call = came.registered(call, claim)
            wire = Wire(began.ms + terms.lease_ms)
            return Execution(gate, Attempt(call, claim, ledger, terms, gate.effect, wire=wire), arguments).run()
        case NeedsLookup(claim):
            return reconcile.look(Execution(gate, Attempt(call, claim, ledger, terms, gate.effect), arguments))
        case Replay() as replay:
            return _replayed(ledger, call, replay)
        case Refusal() as refused:
            return _refused(ledger, call, refused)
        case KeyInUse(call=at_work):
            raise Duplicate(f"{call.key}: call {at_work} is at work")
        case ArgumentsDiffer() as found:
            raise arrival.differs(call, found)
        case NotDue() as found:
            raise arrival.early(call, found)
        case NeedsResync() | RegisteredKey() | Unregistered():
            raise LedgerUnavailable(
                f"call {call.id} of {call.task}: nothing ran, Redis was started anew once more, or recovers; the call is sent again"
            )


def _replayed(ledger: Ledger, call: Call, replay: Replay) -> Answer:
    _log("replayed", call)
    ledger.end(call, "done")
    if replay.flaw:
        return flawed(call.key, replay.flaw, replayed=True)
    return success(call.key, replay.result, replayed=True)


def _refused(ledger: Ledger, call: Call, refused: Refusal) -> Answer:
    is_deferred = bool(refused.receipt.get("deferred"))
    _log("deferred" if is_deferred else "refused", call, **refused.receipt)
    if not (refused.again or is_deferred):
        ledger.end(call, "rejected", refused.text)
    return refusal(call.key, refused.receipt)


def _admit(ledger: Ledger, call: Call, terms: CallLimits, came: Arrival) -> tuple[Call, Decision]:
    """Ask the ledger; answers the call as well, under the key with which it was registered."""
    decision = _ask(ledger, call, terms, came)
    if isinstance(decision, Unregistered):
        came = came.check_elsewhere(ledger, call)
        decision = _ask(ledger, call, terms, came)
    if not isinstance(decision, RegisteredKey):
        return call, decision
    call = replace(call, key=decision.key)
    return call, _ask(ledger, call, terms, came)


def _ask(ledger: Ledger, call: Call, terms: CallLimits, came: Arrival) -> Decision:
    """Ask in the name of a new owner. If the answer gets lost, the claim that may have been made is given up at once."""
    mine = owner.new()
    try:
        return _ask_as(mine, ledger, call, terms, came)
    except RedisAway:
        owner.abandon(mine)
        raise


def _ask_as(mine: str, ledger: Ledger, call: Call, terms: CallLimits, came: Arrival) -> Decision:
    """Where somebody holds the key, look whether they are alive, and ask again."""
    admit = partial(ledger.admit, call, mine, terms, **vars(came), **_soundness(ledger, call))
    decision = admit()
    if isinstance(decision, NeedsResync):
        decision = admit(**_checked(ledger, call))
    if not isinstance(decision, KeyInUse):
        return decision
    dead = owner.is_dead(decision.owner)
    if dead or decision.lease_ms <= decision.now_ms:
        ledger.reclaim(call.agent, call.key, decision.call, decision.owner, decision.fence, dead=dead)
        return admit()
    if decision.call == call.id:
        return decision
    return admit(alive=decision.owner)


def _soundness(ledger: Ledger, call: Call) -> dict[str, Any]:
    """What the journal knows of the agent's effects, which Redis must know too; nothing for a task without one."""
    if not call.effect:
        return {}
    try:
        ledger.journal.try_again()
        return {"known": epoch.known(ledger.redis, ledger.journal, call.agent)}
    except JournalUnavailable as error:
        return {"closed": str(error)}


def _checked(ledger: Ledger, call: Call) -> dict[str, Any]:
    """The same once more, after Redis was compared with the journal."""
    try:
        if not audit.audit(ledger.redis, ledger.journal, call.agent):
            why = epoch.why_closed(ledger.redis, ledger.journal, call.agent)
            return {
                "closed": f"{why}; run celery -A workers gate recover" if why else "Redis was started anew once more"
            }
    except JournalUnavailable as error:
        return {"closed": str(error)}
    return _soundness(ledger, call)


def _reject(ledger: Ledger, call: Call, came: Arrival, error: InvalidArguments) -> Answer:
    receipt = {"error": "invalid arguments", "stage": "input", "detail": clean(str(error))}
    with _needing_redis(call):
        stands = ledger.reject(call, receipt, KEEP_MS, came.sent, checked=came.checked)
        if isinstance(stands, Unregistered):
            came = came.check_elsewhere(ledger, call)
            stands = ledger.reject(call, receipt, KEEP_MS, came.sent, checked=came.checked)
    if isinstance(stands, ArgumentsDiffer):
        raise arrival.refusal(call, f"its arguments: {error}")
    if stands != "rejected":
        raise Duplicate(f"call {call.id} is {stands}; these arguments change nothing")
    _log("refused", call, **receipt)
    return refusal(None, receipt)


@contextmanager
def _needing_redis(call: Call) -> Iterator[None]:
    try:
        yield
    except RedisAway as error:
        raise LedgerUnavailable(
            f"call {call.id} of {call.task}: nothing ran, Redis does not answer: {describe(error)}"
        ) from error


def _log(event: str, call: Call, **fields: Any) -> None:
    log.info(event, agent=call.agent, task=call.task, call=call.id, key=call.key, **fields)
