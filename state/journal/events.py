"""What the journal is told of an effect: that it was asked for, that it is about to be sent, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from state.errors import JournalUnavailable
from state.journal.journal import Journal
from state.model import AttemptResult, Call, Claim, iso

log = structlog.get_logger("gatehouse.journal")

#: Times of a call as the journal names them, and the fields in which Redis keeps them, in ms.
TIMES = {"due": "at_ms", "expires": "expires_ms"}
#: Further fields of a call that have the same name in both.
MARKS = ("digest", "again")


def registered(journal: Journal, call: Call, kept: Mapping[str, str]) -> None:
    """A call was accepted; `kept` are the fields of its hash in Redis, or some of them.

    Not synced: Redis has it too, and a power cut is the only thing that takes both.
    """
    journal.append("registered", accepted(call, kept), sync=False)


def accepted(call: Call, kept: Mapping[str, str]) -> dict[str, Any]:
    """Describe a call that was accepted, with what Redis keeps of it."""
    times = {name: iso(kept[field]) for name, field in TIMES.items() if kept.get(field)}
    return of_call(call) | times | {name: kept[name] for name in MARKS if kept.get(name)}


def held(journal: Journal, agent: str, key: str, call: str, fence: int, why: str) -> None:
    """A key waits for a person, and why."""
    record = {"agent": agent, "key": key, "call": call, "fence": fence, "why": why}
    _tell(journal, "held", record, sync=False)


def intent(journal: Journal, call: Call, claim: Claim, payload: str, verify: str) -> None:
    """The effect is about to be sent: on the disk when this returns. Raises JournalUnavailable."""
    proof = {"verify": json.loads(verify)} if verify else {}
    record = of_call(replace(call, options=claim.options)) | {
        "door": claim.origin,
        "fence": claim.fence,
        "epoch": claim.epoch,
        "owner": claim.owner,
    }
    first = {} if claim.payload else {"first": True}  # its own text, not that of an attempt which may have sent it
    journal.append("intent", record | proof | first | {"payload": json.loads(payload)}, sync=True)


def point(journal: Journal, claim: Claim, name: str, value: str, text: str = "") -> None:
    """The provider gave something that a later attempt needs. On the disk when this returns; raises JournalUnavailable."""
    journal.append(
        "point", _of_claim(claim) | {"name": name, "value": value} | ({"text": text} if text else {}), sync=True
    )


def not_sent(journal: Journal, claim: Claim, why: str) -> None:
    """The line was not crossed after all."""
    _tell(journal, "outcome", _of_claim(claim) | {"outcome": "refused", "retry": True, "error": why}, sync=False)


def outcome(journal: Journal, claim: Claim, end: AttemptResult) -> None:
    """An effect that was on its way has an outcome."""
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
    _tell(journal, "outcome", record, sync=True)


def ended(journal: Journal, agent: str, key: str, call: str, state: str, why: str) -> None:
    """A call ended without an attempt that crossed the line."""
    record = {"agent": agent, "key": key, "call": call, "state": state}
    _tell(journal, "ended", record | ({"why": why} if why else {}), sync=False)


def cancelled(journal: Journal, agent: str, key: str, call: str, by: str, *, alone: bool) -> None:
    """A person revoked a call that had not begun, with its key unless that is another call's (`alone`).

    On the disk when this returns. Raises JournalUnavailable.
    """
    record = {"agent": agent, "key": key, "call": call, "state": "cancelled", "why": f"cancelled by {by}"}
    journal.append("ended", record | ({"alone": True} if alone else {}), sync=True)


def forbidden(journal: Journal, agents: Sequence[str], call: str, by: str) -> None:
    """A person revoked an id that no agent knows. On the disk when this returns. Raises JournalUnavailable."""
    journal.append("forbidden", of_forbidden(agents, call, by), sync=True)


def of_forbidden(agents: Sequence[str], call: str, by: str) -> dict[str, Any]:
    """Describe an id that was revoked before its call was made, which has neither key nor task."""
    return {"call": call, "agents": list(agents), "by": by}


def followed(journal: Journal, agent: str, key: str, call: str) -> None:
    """The calls that follow this one are registered."""
    _tell(journal, "followed", {"agent": agent, "key": key, "call": call}, sync=False)


def absent(journal: Journal, claim: Claim) -> None:
    """It is proven that the effect did not happen; the call is sent again."""
    _tell(journal, "absent", _of_claim(claim), sync=True)


def resolved(journal: Journal, call: Call, fence: int, word: Mapping[str, str]) -> None:
    """A person said what became of the attempt with this fence. Raises JournalUnavailable."""
    journal.append("resolved", of_call(call) | {"fence": fence, **word}, sync=True)


def of_call(call: Call) -> dict[str, Any]:
    """Describe a call as every record does that names one."""
    what = {"agent": call.agent, "key": call.key, "task": call.task, "call": call.id, "door": call.origin}
    options = {"options": json.loads(call.options)} if call.options else {}
    return what | {"fingerprint": call.fingerprint, "kwargs": json.loads(call.kwargs)} | options


def _of_claim(claim: Claim) -> dict[str, Any]:
    which = {"agent": claim.agent, "key": claim.key, "call": claim.call}
    return which | {"fence": claim.fence, "epoch": claim.epoch}  # a fence alone may be given again after a loss


def _tell(journal: Journal, event: str, record: dict[str, Any], *, sync: bool) -> None:
    """What happened, happened: if it cannot be written down, Redis still has it, and the next intent will be refused."""
    try:
        journal.append(event, record, sync=sync)
    except JournalUnavailable as error:
        log.critical("journal behind", told=event, **record, error=str(error))
