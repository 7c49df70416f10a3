"""The body of one attempt: run it, and decide what its end proves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import structlog

from gatekeeper.errors import ClaimLost, InvalidOutput, OutcomeUnknown, Refused
from gatekeeper.redact import clean, describe
from gatekeeper.run import ending, tracing
from gatekeeper.run.attempt import Attempt, running
from gatekeeper.run.ending import Ending
from gatekeeper.run.http_outcome import proves_nothing_was_sent
from gatekeeper.run.lookup import Unanswered, look_up
from state import hints
from state.ledger import owner
from state.model import AttemptResult, stored_result

log = structlog.get_logger("gatehouse.gate")

#: What the history says of an undo that worked.
UNDONE = "done"


def run(attempt: Attempt) -> Ending:
    """Run the body of an attempt, and decide what its end proves."""
    try:
        with running(attempt), tracing.step("body"):
            output = attempt.spec.body(**attempt.arguments)
    except BaseException as error:  # noqa: BLE001 - even Ctrl-C or sys.exit() in a task is an end that must be settled
        return _ending(attempt, attempt.stopped or error)
    if attempt.stopped is not None:
        return ending.refused(attempt, attempt.stopped)
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


def look_up_again(attempt: Attempt, *, knew_death: bool) -> Ending:
    """Look up the effect of an earlier attempt.

    If it is found, the attempt is done. That it is not found may be a proof, in time; the ledger decides.

    Args:
        attempt: The attempt.
        knew_death: Redis knew before this that its owner can send nothing any more.

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
        knew_death=knew_death,
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
    return Ending(ending.with_flaw(flaw))


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
        known = ending.known_result(attempt, error) if attempt.phase != "before" else None
        return Ending(known, error=error, claim_is_lost=True)
    if isinstance(error, Refused) and attempt.phase == "before":
        return ending.refused(attempt, error)
    return _failed(attempt, error)


def _failed(attempt: Attempt, error: BaseException) -> Ending:
    """Decide what an exception proves: applied, not applied or unknown."""
    if attempt.phase == "applied":
        return Ending(ending.known_result(attempt, error), error=ending.raised(attempt, error))
    if attempt.phase == "before" or proves_nothing_was_sent(error, attempt.wire.since_the_line):
        return ending.not_applied(attempt, error)
    return _in_doubt(attempt, error)


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
    return Ending(replace(ending.known_result(attempt, error), look_ms=away_ms or 0), error=unknown)
