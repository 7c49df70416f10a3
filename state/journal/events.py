"""The records of the journal: one function per event, from a call's registration to the outcome of its effect."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from state.errors import JournalUnavailable
from state.formatting import iso
from state.journal.journal import Journal
from state.model import AttemptResult, Call, Claim, Proposal

log = structlog.get_logger("gatehouse.journal")

#: Times of a call as the journal names them, and the fields in which Redis keeps them, in ms.
TIMES = {"due": "at_ms", "expires": "expires_ms"}
#: Further fields of a call that have the same name in both.
MARKS = ("digest", "again")
#: Fields of a decision of a person.
DECISION = ("id", "at", "by", "door", "what", "subject", "why", "before", "after")


def registered(journal: Journal, call: Call, kept: Mapping[str, str]) -> None:
    """Record that a call was accepted. Raises JournalUnavailable.

    The record is not synced: Redis has the call too, and only a power cut takes both.

    Args:
        journal: The journal.
        call: The call.
        kept: The fields of its hash in Redis, or some of them.

    """
    journal.append("registered", accepted(call, kept), sync=False)


def accepted(call: Call, kept: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a call that was accepted, with what Redis keeps of it."""
    times = {name: iso(kept[field]) for name, field in TIMES.items() if kept.get(field)}
    return of_call(call) | times | {name: kept[name] for name in MARKS if kept.get(name)}


def held(journal: Journal, agent: str, key: str, call: str, fence: int, why: str) -> None:
    """Record that a key waits for a person, and why."""
    record = {"agent": agent, "key": key, "call": call, "fence": fence, "why": why}
    _append_or_log(journal, "held", record, sync=False)


def intent(journal: Journal, call: Call, claim: Claim, payload: str, verify: str) -> None:
    """Record that an effect is about to be sent; the record is on the disk when this returns.

    Args:
        journal: The journal.
        call: The call.
        claim: Its claim, with the options that Redis has of the call.
        payload: JSON.
        verify: JSON: how to prove that the effect did not happen; "" if that is not possible.

    Raises:
        JournalUnavailable: The record is not on the disk, so the effect must not be sent.

    """
    proof = {"verify": json.loads(verify)} if verify else {}
    record = of_call(replace(call, options=claim.options)) | {
        "door": claim.origin,
        "fence": claim.fence,
        "epoch": claim.epoch,
        "owner": claim.owner,
    }
    first = {} if claim.payload else {"first": True}  # its own text, not that of an attempt which may have sent it
    journal.append("intent", record | proof | first | {"payload": json.loads(payload)}, sync=True)


def asked(journal: Journal, call: Call, claim: Claim, proposal: Proposal) -> None:
    """Record for which payload a person is asked; the record is on the disk when this returns.

    Nothing of it was sent, so it is not called `payload`.

    Args:
        journal: The journal.
        call: The call.
        claim: Its claim, with the options that Redis has of the call.
        proposal: The payload.

    Raises:
        JournalUnavailable: The record is not on the disk.

    """
    record = of_call(replace(call, options=claim.options)) | {
        "door": claim.origin,
        "fence": claim.fence,
        "epoch": claim.epoch,
        "owner": claim.owner,
        "expires": iso(proposal.expires_ms),
    }
    journal.append("asked", record | of_proposal(proposal), sync=True)


def expired(journal: Journal, agent: str, key: str, call: str, fence: int, revision: int, why: str) -> None:
    """Record that nobody decided about a payload in time, so that its call is over."""
    record = {"agent": agent, "key": key, "call": call, "fence": fence, "revision": revision, "why": why}
    _append_or_log(journal, "expired", record, sync=False)


def autonomy(journal: Journal, agent: str, mode: str, by: str, why: str) -> None:
    """Record how far an agent may go from now on, on the disk when this returns. Raises JournalUnavailable."""
    journal.append("autonomy", {"agent": agent, "mode": mode, "by": by, "why": why}, sync=True)


def of_proposal(proposal: Proposal) -> dict[str, Any]:
    """Return the fields of a payload about which a person decides."""
    what = {"revision": proposal.revision, "digest": proposal.digest, "type": proposal.type}
    return what | {"proposal": json.loads(proposal.text)}


def point(journal: Journal, claim: Claim, name: str, value: str, text: str = "") -> None:
    """Record a checkpoint of an attempt, on the disk when this returns. Raises JournalUnavailable.

    Args:
        journal: The journal.
        claim: The claim of the attempt.
        name: The checkpoint's name.
        value: What a later attempt needs.
        text: A digest of the payload that it belongs to; "" before there is one.

    """
    record = _of_claim(claim) | {"name": name, "value": value}
    journal.append("point", record | ({"text": text} if text else {}), sync=True)


def not_sent(journal: Journal, claim: Claim, why: str) -> None:
    """Record that the effect of an intent did not begin."""
    _append_or_log(
        journal, "outcome", _of_claim(claim) | {"outcome": "refused", "retry": True, "error": why}, sync=False
    )


def outcome(journal: Journal, claim: Claim, end: AttemptResult) -> None:
    """Record how an attempt ended whose effect had begun, on the disk when this returns."""
    record: dict[str, Any] = _of_claim(claim) | {"outcome": end.outcome}
    if end.outcome in {"failed", "refused"}:
        record["retry"] = end.retry_ms is not None
    for name, text in (("result", end.result), ("flaw", end.flaw)):
        if text:
            record[name] = json.loads(text)
    if end.error:
        record["error"] = end.error
    if end.facts:
        record["facts"] = [[list(change.path), change.value, change.collection] for change in end.facts]
    _append_or_log(journal, "outcome", record, sync=True)


def ended(journal: Journal, call: Call, state: str, why: str = "") -> None:
    """Record that a call ended, and none of its attempts began the effect."""
    record = {"agent": call.agent, "key": call.key, "call": call.id, "state": state}
    _append_or_log(journal, "ended", record | ({"why": why} if why else {}), sync=False)


def cancelled(journal: Journal, agent: str, key: str, call: str, by: str, *, alone: bool) -> None:
    """Record that a person revoked a call that had not begun, on the disk when this returns. Raises JournalUnavailable.

    With `alone`, the key belongs to another call and is not cancelled.
    """
    record = {"agent": agent, "key": key, "call": call, "state": "cancelled", "why": f"cancelled by {by}"}
    journal.append("ended", record | ({"alone": True} if alone else {}), sync=True)


def forbidden(journal: Journal, agents: Sequence[str], call: str, by: str) -> None:
    """Record that a person revoked an id that no agent knows, on the disk when this returns. Raises JournalUnavailable."""
    journal.append("forbidden", of_forbidden(agents, call, by), sync=True)


def of_forbidden(agents: Sequence[str], call: str, by: str) -> dict[str, Any]:
    """Return the fields of an id that was revoked before its call was made, which has neither key nor task."""
    return {"call": call, "agents": list(agents), "by": by}


def followed(journal: Journal, agent: str, key: str, call: str) -> None:
    """Record that the calls which follow this one are registered."""
    _append_or_log(journal, "followed", {"agent": agent, "key": key, "call": call}, sync=False)


def absent(journal: Journal, claim: Claim) -> None:
    """Record that the effect is proven absent, and the call is sent again."""
    _append_or_log(journal, "absent", _of_claim(claim), sync=True)


def resolved(journal: Journal, call: Call, entry: Mapping[str, Any], proposal: Proposal | None = None) -> None:
    """Record what a person decided about the attempt with the entry's fence, and the text that the person wrote.

    Raises:
        JournalUnavailable: The record is not on the disk.

    """
    word = {name: entry[name] for name in ("fence", "how", "by", "why", "revision", "digest") if name in entry}
    text = of_proposal(proposal) if proposal else {}
    journal.append("resolved", of_call(call) | word | text | {"decision": of_decision(entry)}, sync=True)


def decision(journal: Journal, agent: str, entry: Mapping[str, Any]) -> None:
    """Record any other decision of a person, on the disk when this returns. Raises JournalUnavailable."""
    journal.append("decision", {"agent": agent, "decision": of_decision(entry)}, sync=True)


def of_decision(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an entry of the list of decisions, which `gate recover` brings back."""
    return {name: entry[name] for name in DECISION if name in entry}


def of_call(call: Call) -> dict[str, Any]:
    """Return the fields of a call as every record has them that names one."""
    what = {"agent": call.agent, "key": call.key, "task": call.task, "call": call.id, "door": call.origin}
    options = {"options": json.loads(call.options)} if call.options else {}
    return what | {"fingerprint": call.fingerprint, "kwargs": json.loads(call.kwargs)} | options


def _of_claim(claim: Claim) -> dict[str, Any]:
    which = {"agent": claim.agent, "key": claim.key, "call": claim.call}
    return which | {"fence": claim.fence, "epoch": claim.epoch}  # a fence alone may be given again after a loss


def _append_or_log(journal: Journal, event: str, record: dict[str, Any], *, sync: bool) -> None:
    """Log a failed write instead of raising: Redis has the event, and the next intent will be refused."""
    try:
        journal.append(event, record, sync=sync)
    except JournalUnavailable as error:
        # The record may have an `error` of its own: that of the attempt.
        own = {"attempt_error": record["error"]} if "error" in record else {}
        log.critical("journal behind", told=event, **(record | own | {"error": str(error)}))
