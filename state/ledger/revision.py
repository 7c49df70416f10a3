"""A person's text in the place of one that waits for an approval, or that a provider refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from state import hints
from state.model import Proposal

#: Characters of a payload that the story of its key shows; the journal and the key have all of it.
MAX_TOLD = 64 * 1024


def problem(key: str, kept: Mapping[str, str]) -> str:
    """Return why the text of a key in this state cannot be replaced, and what to do; empty if it can."""
    state = kept["state"]
    if state in {"unknown", "sending", "claimed"} or (state in {"held", "rejected"} and "payload" in kept):
        applied = hints.gatehouse("resolve", key, "--applied", "--why", "…")
        return f"{key} is {state}, and its text may have been sent: say first what became of it: {applied} (or --not-applied)"
    if state == "held" and "kind" not in kept:
        return f"{key} was held before it had a text: {hints.gatehouse('approve', key)} lets it run as it is"
    if state in {"held", "rejected"} and "proposal" not in kept:
        again = hints.gatehouse("replay", kept.get("call", "CALL"))
        return f"{key} is {state}, and no text of it was refused; run it again after you changed its source: {again}"
    return ""


def of_decision(kept: Mapping[str, str], payload: str) -> dict[str, Any]:
    """Return what the record of a decision says of the text: its revision, and its digest."""
    number = int(kept.get("revision", 0))
    if payload:
        return {"revision": number + 1, "digest": Proposal(payload, "").digest}
    return {"revision": number, "digest": Proposal(kept["proposal"], "").digest} if "kind" in kept else {}


def event(kept: Mapping[str, str], by: str, payload: str) -> str:
    """Return the event of a revision as JSON text, without its time; empty if there is none."""
    if not payload:
        return ""
    before = Proposal(kept["proposal"], "").digest
    told = {"event": "revised", "by": by, "before": before, **of_decision(kept, payload), **of_payload(payload)}
    return json.dumps(told, ensure_ascii=False)


def of_payload(text: str) -> dict[str, Any]:
    """Return what an event tells of a payload: its digest, and the payload itself unless it is too long."""
    shown = {"payload": json.loads(text)} if len(text) <= MAX_TOLD else {"payload_size": len(text)}
    return {"digest": Proposal(text, "").digest, **shown}
