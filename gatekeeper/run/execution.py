"""The body of one attempt: run it, and decide what its end proves."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from gatekeeper import hostile
from gatekeeper.errors import (
    AgentPaused,
    ClaimLost,
    EffectsClosed,
    InvalidOutput,
    LeaseExpired,
    OutcomeUnknown,
    Refused,
    RungTooLow,
    TaskAborted,
)
from gatekeeper.redact import clean, describe
from gatekeeper.run import backoff, prospects
from gatekeeper.run.attempt import Attempt, running
from gatekeeper.run.http_outcome import proves_nothing_was_sent, store_was_away
from gatekeeper.run.lookup import Unanswered, look_up
from gatekeeper.run.prospects import Prospect
from state import hints
from state.constants import LEDGER_RETRY_MS, PAUSE_RETRY_MS
from state.ledger import owner
from state.model import AttemptResult, stored_result

log = structlog.get_logger("gatehouse.gate")

#: What a refusal before the effect is called: (error, stage).
_RECEIPTS: dict[type[Refused], tuple[str, str]] = {
    AgentPaused: ("paused", "line"),
    RungTooLow: ("rung too low", "line"),
    EffectsClosed: ("effects are closed", "ledger"),
}
#: What the history says of an undo that worked.
UNDONE = "done"


@dataclass(frozen=True)
class Ending:
    """The end of an attempt: what to settle, and the error to raise instead of an answer."""

    result: AttemptResult | None = None  #: None: there is nothing to settle
    error: BaseException | None = None
    claim_is_lost: bool = False  #: so the settlement may be refused
    receipt: dict[str, Any] = field(default_factory=dict)  #: the answer where there is nothing to settle


def run(attempt: Attempt) -> Ending:
    """Run the body of an attempt, and decide what its end proves."""
    try:
        with running(attempt):
            output = attempt.spec.body(**attempt.arguments)
    except BaseException as error:  # noqa: BLE001 - even Ctrl-C or sys.exit() in a task is an end that must be settled
        return _ending(attempt, error)
    return finished(attempt, output)


def finished(attempt: Attempt, output: Any) -> Ending:
    """Decide the end of an attempt that returned this output, or whose effect a look-up found."""
    try:
        result = stored_result(_as_json(attempt, output), attempt.rung)
    except InvalidOutput as error:
        if attempt.spec.effect and attempt.phase == "before":
            return _failed(attempt, error)  # nothing was sent, so there is nothing to keep or to undo
        return _flawed(attempt, output, error)
    if attempt.spec.then and attempt.phase == "applied":
        try:
            with running(attempt):
                attempt.spec.then.call(output, attempt.arguments)
        except BaseException as error:  # noqa: BLE001 - the effect happened, whatever comes after it
            return _failed(attempt, error)
    return Ending(AttemptResult("done", result=result))


def _as_json(attempt: Attempt, output: Any) -> str:
    """Return the output as JSON text; raises InvalidOutput, whatever the output itself raises."""
    try:
        return attempt.spec.contract.check_output(output)
    except InvalidOutput:
        raise
    except BaseException as error:  # noqa: BLE001 - an output may be an object with code of its own
        raise InvalidOutput(f"{attempt.spec.name} returned what cannot be written down: {describe(error)}") from None


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
    receipt = _looked_up(decided)
    log.warning("looked up", **attempt.call.log_fields(), absent=found is None, **receipt)
    return Ending(receipt=receipt)


def _looked_up(decided: list[Any]) -> dict[str, Any]:
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


# What follows is exceptional: the output does not fit, or the body raised.


def _flawed(attempt: Attempt, output: Any, error: InvalidOutput) -> Ending:
    """Undo an effect whose output cannot be used, and keep the key, so that nothing is sent again."""
    flaw = {"error": "output validation failed", "stage": "output", "detail": clean(str(error))}
    if attempt.spec.undo:
        flaw["undo"] = _undo(attempt, output)
        if flaw["undo"] == UNDONE:
            attempt.facts.clear()
            attempt.counters.clear()
    return Ending(_with_flaw(flaw))


def _with_flaw(flaw: dict[str, str]) -> AttemptResult:
    """Return the result of an effect that happened, and of which no usable output came."""
    return AttemptResult("done", result=stored_result("null"), flaw=json.dumps(flaw), error=flaw["detail"])


def _undo(attempt: Attempt, output: Any) -> str:
    assert attempt.spec.undo  # noqa: S101 - asked for by the caller
    try:
        with running(attempt):
            attempt.spec.undo.call(output, attempt.arguments)
    except BaseException as problem:  # noqa: BLE001 - whatever it was, the key must be settled and the problem recorded
        outcome = f"failed: {describe(problem)}"
    else:
        outcome = UNDONE
    attempt.append_event("undo", outcome=outcome)
    return outcome


def _ending(attempt: Attempt, error: BaseException) -> Ending:
    """Decide the end of an attempt whose body raised."""
    if isinstance(error, ClaimLost) and (error.agent, error.key) == (attempt.call.agent, attempt.claim.key):
        log.error("claim lost", **attempt.call.log_fields())
        # What this attempt knows, and that it is over, is recorded for the key's new holder.
        known = _known_result(attempt, error) if attempt.phase != "before" else None
        return Ending(known, error=error, claim_is_lost=True)
    if isinstance(error, Refused) and attempt.phase == "before":
        return _refused(attempt, error)
    return _failed(attempt, error)


def _failed(attempt: Attempt, error: BaseException) -> Ending:
    """Decide what an exception proves: applied, not applied or unknown."""
    if attempt.phase == "applied":
        return Ending(_known_result(attempt, error), error=_raised(attempt, error))
    if attempt.phase == "before" or proves_nothing_was_sent(error, attempt.wire.since_the_line):
        return _not_applied(attempt, error)
    return _in_doubt(attempt, error)


def _not_applied(attempt: Attempt, error: BaseException) -> Ending:
    """End an attempt without effect. The call waits if it may go well later, or if attempts are left; else it is over."""
    description = describe(error)
    if store_was_away(error):
        return _deferred("the ledger was away", "ledger", description, LEDGER_RETRY_MS)
    prospect = prospects.of(error)
    if prospect.temporary:
        return _waits(attempt, description, prospect)
    is_final = prospect.temporary is False
    retry_ms = None if is_final else backoff.after_failure_ms(attempt, forgiven=isinstance(error, LeaseExpired))
    advice = f"{description}; change {prospect.change}" if prospect.change else description
    return Ending(AttemptResult("failed", error=clean(advice), retry_ms=retry_ms), error=_raised(attempt, error))


def _waits(attempt: Attempt, description: str, prospect: Prospect) -> Ending:
    """Let the call wait for a service that is away for now; this was not an attempt of the call."""
    wait_ms = backoff.for_service_ms(attempt, prospect.retry_after)
    receipt = {"error": description, "stage": "service", "deferred": True, "retry_after": wait_ms / 1000}
    return Ending(AttemptResult("failed", error=description, retry_ms=wait_ms, receipt=receipt, waits=True))


def _in_doubt(attempt: Attempt, error: BaseException) -> Ending:
    """Ask the provider. That it has the effect is proof; that it does not have it yet proves nothing."""
    found = look_up(attempt)
    if found is not None and not isinstance(found, Unanswered):
        return finished(attempt, found)
    away_ms = None if found is None else found.away_ms
    unknown = OutcomeUnknown(
        f"{attempt.claim.key}: {describe(error)}. It may have happened, so it is not run again; "
        f"see: {hints.gatehouse('explain', attempt.claim.key)}"
    )
    unknown.__cause__ = error
    return Ending(replace(_known_result(attempt, error), look_ms=away_ms or 0), error=unknown)


def _known_result(attempt: Attempt, error: BaseException) -> AttemptResult:
    """Return what is known of an effect that began, whatever went wrong."""
    description = describe(error)
    if attempt.phase != "applied":
        return AttemptResult("unknown", error=description)
    return _with_flaw({"error": "the effect happened, but a later step failed", "stage": "task", "detail": description})


def _refused(attempt: Attempt, error: Refused) -> Ending:
    """End an attempt that the task itself refused, or whose effect was not allowed to begin. Nothing was sent."""
    detail = clean(hostile.text_of(error))
    why, stage = _RECEIPTS.get(type(error), (detail, "task"))
    wait_ms = None  # to ask again is the caller's business
    if isinstance(error, EffectsClosed):
        wait_ms = LEDGER_RETRY_MS
    elif isinstance(error, AgentPaused) and attempt.claim.waits:
        wait_ms = PAUSE_RETRY_MS
    return _deferred(why, stage, detail, wait_ms)


def _deferred(why: str, stage: str, detail: str, wait_ms: int | None) -> Ending:
    """Refuse an attempt that sent nothing: it counts for nothing, and with `wait_ms` the call asks again."""
    receipt: dict[str, Any] = {"error": why, "stage": stage, "detail": detail}
    if wait_ms:
        receipt |= {"deferred": True, "retry_after": wait_ms / 1000}
    listed = why if stage in {"task", "ledger"} else ""
    return Ending(AttemptResult("refused", receipt=receipt, error=listed, retry_ms=wait_ms))


def _raised(attempt: Attempt, error: BaseException) -> BaseException:
    """Return what Celery is given for an error: one that would end the worker is replaced."""
    if isinstance(error, Exception):
        return error
    aborted = TaskAborted(f"{attempt.claim.key}: {describe(error)}")
    aborted.__cause__ = error
    return aborted
