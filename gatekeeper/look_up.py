"""A look-up: ask the provider whether it has an effect."""

from __future__ import annotations

from typing import Any

from gatekeeper.attempt import Attempt, running
from gatekeeper.gate import Gate
from gatekeeper.redact import describe

#: The answer of a look-up that says nothing, which is not that nothing is there.
LOOK_UP_FAILED = object()


def look_up(gate: Gate, attempt: Attempt, arguments: dict[str, Any]) -> Any:
    """What the provider has of this effect, None if it has nothing, LOOK_UP_FAILED if nobody knows."""
    if not gate.verify:
        return LOOK_UP_FAILED
    try:
        with running(attempt):
            found = gate.verify.ask_json(attempt.payload, arguments)
    except BaseException as problem:  # noqa: BLE001 - a look-up that fails, however it does, proves nothing, and is told
        attempt.tell("verify", outcome=f"failed: {describe(problem)}")
        return LOOK_UP_FAILED
    if found is False:
        attempt.tell("verify", outcome="failed: it answered False; answer None if nothing is there")
        return LOOK_UP_FAILED
    attempt.tell("verify", outcome="not found" if found is None else "found")
    if found is not None:
        attempt.line = "applied"
    return found
