"""The end of an attempt: what is settled, and what the caller gets, for each thing that an error may prove."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from gatekeeper import hostile
from gatekeeper.errors import (
    AgentPaused,
    ApprovalNeeded,
    EffectsClosed,
    LeaseExpired,
    OnlyObserved,
    Refused,
    RungTooLow,
    TaskAborted,
)
from gatekeeper.redact import clean, describe
from gatekeeper.run import backoff, permission, prospects
from gatekeeper.run.attempt import Attempt
from gatekeeper.run.http_outcome import store_was_away
from gatekeeper.run.prospects import Prospect
from state.constants import FIRST_LEDGER_RETRY_MS, PAUSE_RETRY_MS
from state.model import AttemptResult, stored_result

#: What a refusal before the effect is called: (error, stage).
_RECEIPTS: dict[type[Refused], tuple[str, str]] = {
    AgentPaused: ("paused", "line"),
    RungTooLow: ("rung too low", "line"),
    OnlyObserved: ("observed", "autonomy"),
    EffectsClosed: ("effects are closed", "ledger"),
}


@dataclass(frozen=True)
class Ending:
    """The end of an attempt: what to settle, and the error to raise instead of an answer."""

    result: AttemptResult | None = None  #: None: there is nothing to settle
    error: BaseException | None = None
    claim_is_lost: bool = False  #: so the settlement may be refused
    receipt: dict[str, Any] = field(default_factory=dict)  #: the answer where there is nothing to settle


def with_flaw(flaw: dict[str, str]) -> AttemptResult:
    """Return the result of an effect that happened, and of which no usable output came."""
    return AttemptResult("done", result=stored_result("null"), flaw=json.dumps(flaw), error=flaw["detail"])


def not_applied(attempt: Attempt, error: BaseException) -> Ending:
    """End an attempt without effect. The call waits if it may go well later, or if attempts are left; else it is over."""
    description = describe(error)
    if store_was_away(error):
        return _deferred("the ledger was away", "ledger", description, FIRST_LEDGER_RETRY_MS)
    prospect = prospects.of(error)
    if prospect.temporary:
        return _waits(attempt, description, prospect)
    is_final = prospect.temporary is False
    retry_ms = None if is_final else backoff.after_failure_ms(attempt, forgiven=isinstance(error, LeaseExpired))
    advice = f"{description}; change {prospect.change}" if prospect.change else description
    return Ending(AttemptResult("failed", error=clean(advice), retry_ms=retry_ms), error=raised(attempt, error))


def _waits(attempt: Attempt, description: str, prospect: Prospect) -> Ending:
    """Let the call wait for a service that is away for now; this was not an attempt of the call."""
    wait_ms = backoff.for_service_ms(attempt, prospect.retry_after)
    receipt = {"error": description, "stage": "service", "deferred": True, "retry_after": wait_ms / 1000}
    return Ending(AttemptResult("failed", error=description, retry_ms=wait_ms, receipt=receipt, waits=True))


def known_result(attempt: Attempt, error: BaseException) -> AttemptResult:
    """Return what is known of an effect that began, whatever went wrong."""
    description = describe(error)
    if attempt.phase != "applied":
        return AttemptResult("unknown", error=description)
    return with_flaw({"error": "the effect happened, but a later step failed", "stage": "task", "detail": description})


def refused(attempt: Attempt, error: Refused) -> Ending:
    """End an attempt that the task itself refused, or whose effect was not allowed to begin. Nothing was sent."""
    if isinstance(error, ApprovalNeeded):
        return Ending(AttemptResult("asked", receipt=permission.receipt(attempt)))
    detail = clean(hostile.text_of(error))
    why, stage = _RECEIPTS.get(type(error), (detail, "task"))
    wait_ms = None  # to ask again is the caller's business
    if isinstance(error, EffectsClosed):
        wait_ms = FIRST_LEDGER_RETRY_MS
    elif isinstance(error, AgentPaused) and attempt.claim.waits:
        wait_ms = PAUSE_RETRY_MS
    elif isinstance(error, OnlyObserved) and (attempt.claim.approved or attempt.claim.payload):
        wait_ms = (
            PAUSE_RETRY_MS  # as admit.lua does: what a person approved, or what may be out there, is not forgotten
        )
    return _deferred(why, stage, detail, wait_ms)


def _deferred(why: str, stage: str, detail: str, wait_ms: int | None) -> Ending:
    """Refuse an attempt that sent nothing: it counts for nothing, and with `wait_ms` the call asks again."""
    receipt: dict[str, Any] = {"error": why, "stage": stage, "detail": detail}
    if wait_ms:
        receipt |= {"deferred": True, "retry_after": wait_ms / 1000}
    listed = why if stage in {"task", "ledger"} else ""
    return Ending(AttemptResult("refused", receipt=receipt, error=listed, retry_ms=wait_ms))


def raised(attempt: Attempt, error: BaseException) -> BaseException:
    """Return what Celery is given for an error: one that would end the worker is replaced."""
    if isinstance(error, Exception):
        return error
    aborted = TaskAborted(f"{attempt.claim.key}: {describe(error)}")
    aborted.__cause__ = error
    return aborted
