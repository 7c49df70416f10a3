"""The success of a first attempt, with the events that a real one has."""

from __future__ import annotations

import json

from bench.agents import noop
from gatekeeper.policies.spec import TaskSpec
from state.agents import measures
from state.model import AttemptResult, Claim, stored_result


def result(claim: Claim, gate: TaskSpec = noop.nothing.spec, payload: str = "") -> AttemptResult:
    """Return the result of a successful attempt; of an effect with its payload, JSON text."""
    at = claim.admitted_ms
    before = [{"at": at, "event": "applied"}] if payload else [claimed(claim)]
    return AttemptResult(
        "done",
        result=stored_result("0"),
        payload=payload,
        effect_began=bool(payload),
        effect_happened=bool(payload),
        counters={"total_done": 1},
        measure=measures.of_attempt(gate.name, "done", 1, claim.waited_ms),
        events=[json.dumps(each) for each in (*before, {"at": at, "event": "done", "ms": 0, "attempt": 1})],
    )


def beginning(claim: Claim, payload: str) -> list[str]:
    """Return the events of an attempt that begins its effect with this payload."""
    sending = {"at": claim.admitted_ms, "event": "sending", "payload_size": len(payload)}
    return [json.dumps(claimed(claim)), json.dumps(sending)]


def claimed(claim: Claim) -> dict[str, object]:
    """Return the event of a claim."""
    which = {"attempt": 1, "fence": claim.fence, "owner": claim.owner}
    return {"at": claim.admitted_ms, "event": "claimed", **which}
