"""Arguments that several scripts take under the same names."""

from __future__ import annotations

from state.ledger import owner
from state.model import Call, Claim


def of_call(call: Call) -> dict[str, str]:
    """Return the arguments that say what a call is."""
    return {
        "call": call.id,
        "task": call.task,
        "key": call.key,
        "kwargs": call.kwargs,
        "fingerprint": call.fingerprint,
        "origin": call.door,
    }


def of_claim(claim: Claim) -> dict[str, str | int]:
    """Return the arguments that say which attempt holds a key."""
    return {"key": claim.key, "call": claim.call, "owner": claim.owner, "fence": claim.fence}


def now() -> dict[str, str | int]:
    """Return the arguments that say when it is, on a clock that nobody can set."""
    moment = owner.boot_clock()
    return {"boot": moment.boot, "boot_ms": moment.ms}


def flag(value: object) -> str:
    """Return the truth of a value as scripts read it."""
    return "1" if value else ""
