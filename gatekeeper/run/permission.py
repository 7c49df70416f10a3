"""The permission to send: an agent that observes only tells what it would send, one that asks waits for a person."""

from __future__ import annotations

from typing import Any, NoReturn

import structlog

from gatekeeper.errors import ApprovalNeeded, EffectsClosed, OnlyObserved
from gatekeeper.redact import clean
from gatekeeper.run.attempt import Attempt
from state import hints
from state.errors import JournalUnavailable
from state.formatting import iso
from state.ledger.revision import of_payload
from state.model import Proposal

log = structlog.get_logger("gatehouse.gate")

#: Characters of a payload in a log line.
MAX_LOGGED = 10_000


def check(attempt: Attempt, payload: str) -> None:
    """Stop an attempt whose agent may not send this payload, as far as its claim knows; begin_effect.lua decides.

    Raises:
        OnlyObserved: The agent only observes.
        ApprovalNeeded: A person is asked first.
        EffectsClosed: The question could not be written down.

    """
    mode = attempt.claim.mode
    if mode == "observe" or (mode == "ask" and attempt.claim.approved != payload):
        refuse(attempt, payload, mode)


def refuse(attempt: Attempt, payload: str, mode: str) -> NoReturn:
    """Stop an attempt before its effect, because of the mode of its agent. Raises what `check` does."""
    proposal = _proposal(attempt, payload)
    key, agent = attempt.call.key, attempt.call.agent
    if mode == "observe":
        attempt.stopped = OnlyObserved(
            f"{key}: {agent} only observes, so nothing was sent; to let it act: {hints.gatehouse('autonomy', agent, 'act')}"
        )
    else:
        try:
            attempt.ledger.ask(attempt.call, attempt.claim, proposal)
        except JournalUnavailable as error:
            raise EffectsClosed(f"{key}: nothing was sent: {error}") from error
        attempt.stopped = ApprovalNeeded(
            f"{key}: it waits for a person's approval; see: {hints.gatehouse('explain', key)}"
        )
    attempt.proposal = proposal
    told = "would have sent" if mode == "observe" else "would send"
    attempt.append_event(told, **of_payload(proposal.text))
    log.info(told, **attempt.call.log_fields(), digest=proposal.digest, payload=clean(payload[:MAX_LOGGED]))
    raise attempt.stopped


def _proposal(attempt: Attempt, payload: str) -> Proposal:
    policy, claim = attempt.spec.effect, attempt.claim
    assert policy  # noqa: S101 - an effect that is not declared does not get here
    expires_ms = claim.admitted_ms + attempt.elapsed_ms + policy.approval_ms
    return Proposal(payload, attempt.payload_type, claim.revision + 1, expires_ms)


def receipt(attempt: Attempt) -> dict[str, Any]:
    """Return the answer of an attempt that asked a person."""
    proposal = attempt.proposal
    assert proposal  # noqa: S101 - asked for by the caller
    return {
        "error": "waits for approval",
        "stage": "approval",
        "revision": proposal.revision,
        "digest": proposal.digest,
        "expires": iso(proposal.expires_ms),
    }
