"""The way of one call through the gate: bind, admit, run, settle, answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import structlog

from gatekeeper.errors import ClaimLost, InvalidArguments
from gatekeeper.policies.spec import TaskSpec
from gatekeeper.run import answers, execution, tokens, tracing
from gatekeeper.run.answers import Answer
from gatekeeper.run.arrival import DIRECT, Arrival
from gatekeeper.run.attempt import Attempt
from gatekeeper.run.ending import Ending
from gatekeeper.run.heartbeat import heartbeat
from state.decision import Decision, NeedsLookup, RegisteredKey, Unregistered
from state.errors import RedisAway
from state.ledger import Ledger
from state.model import AttemptResult, Call, CallLimits, Claim

log = structlog.get_logger("gatehouse.gate")


def run(
    spec: TaskSpec,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    call_id: str,
    origin: str,
    arrival: Arrival = DIRECT,
) -> Answer:
    """Take one call through the gate.

    Args:
        spec: The task.
        args: The positional arguments.
        kwargs: The named arguments.
        call_id: The id of the call.
        origin: Where the call came in.
        arrival: How its message differs from a call made right here.

    Returns:
        The answer: a success, a flaw or a refusal.

    Raises:
        Exception: What the task raised, if the attempt failed.
        OutcomeUnknown: It is unknown whether the effect happened.
        Duplicate: Another message of the same call is at work.
        NotThisCall: The message is not that of its call.
        LedgerUnavailable: Redis does not answer; nothing ran.

    """
    ledger = Ledger()
    try:
        arguments = spec.contract.bind(args, kwargs)
        call = spec.call_with(arguments, id=call_id, origin=origin)
    except InvalidArguments as error:
        return answers.reject(ledger, Call(call_id, spec.agent, spec.name, "", "{}", "", origin), arrival, error)
    limits = spec.limits(arguments)
    with tracing.step("admit", call):
        call, decision = _admit(ledger, call, limits, arrival)
    match decision:
        case Claim() as claim:
            return run_attempt(Attempt(spec, arguments, arrival.registered(call, claim), claim, ledger, limits))
        case NeedsLookup(claim, knew_death):
            attempt = Attempt(spec, arguments, call, claim, ledger, limits)
            return _settle(attempt, execution.look_up_again(attempt, knew_death=knew_death))
    return answers.of_decision(call, decision)


def run_attempt(attempt: Attempt) -> Answer:
    """Run an attempt whose call was admitted, settle it, and answer; raises what `run` does."""
    claim = attempt.claim
    attempt.wire.lease_ends_ms = claim.lease_ends_ms
    attempt.append_event("claimed", attempt=claim.attempt, fence=claim.fence, owner=claim.owner)
    with heartbeat.renewing(attempt), tracing.step(f"attempt {attempt.call.task}", attempt.call, claim.waited_ms):
        return _settle(attempt, execution.run(attempt))


def _admit(ledger: Ledger, call: Call, limits: CallLimits, arrival: Arrival) -> tuple[Call, Decision]:
    """Ask the ledger; return the call as well, under the key with which it was registered."""
    try:
        decision = ledger.admit(call, limits, **vars(arrival))
        if isinstance(decision, Unregistered):
            arrival = arrival.check_elsewhere(ledger, call)
            decision = ledger.admit(call, limits, **vars(arrival))
        if isinstance(decision, RegisteredKey):
            call = replace(call, key=decision.key)
            decision = ledger.admit(call, limits, **vars(arrival))
    except RedisAway as error:
        raise answers.unavailable(call, error) from error
    return call, decision


def _settle(attempt: Attempt, ending: Ending) -> Answer:
    """Record how the attempt ended; then answer, or raise what the caller is to see."""
    try:
        if ending.result is not None:
            _record(attempt, ending.result)
    except ClaimLost:
        if not ending.claim_is_lost:
            raise
    finally:
        tokens.count(attempt)  # if Redis was away when a model answered
    if ending.error is not None:
        raise ending.error
    key = attempt.claim.key
    return answers.of_attempt(key, ending.result) if ending.result else answers.refusal(key, ending.receipt)


def _record(attempt: Attempt, result: AttemptResult) -> None:
    """Settle in one atomic step; raises ClaimLost if the claim passed to another owner meanwhile."""
    complete, fields = attempt.completed(result)
    with tracing.step("settle"):
        lost = attempt.ledger.settle(attempt.call, attempt.claim, attempt.limits, complete)
    if lost is not None:
        log.error("claim lost", **attempt.call.log_fields(), stands=lost, outcome=result.outcome, **fields)
        raise ClaimLost(attempt.call.agent, attempt.claim.key, f"while the task ran; the key is {lost} now")
    is_good = result.outcome in {"refused", "asked"} or (result.outcome == "done" and not result.error)
    (log.info if is_good else log.error)(result.outcome, **attempt.call.log_fields(), **fields)
