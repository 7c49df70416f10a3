"""Arguments that several scripts take under the same names."""

from __future__ import annotations

from collections.abc import Sequence

from state.ledger import owner
from state.model import Call, CallLimits, Claim
from state.redis.keys import Keys


def of_call(call: Call) -> dict[str, str]:
    """Return the arguments that say what a call is."""
    return {
        "call": call.id,
        "task": call.task,
        "key": call.key,
        "kwargs": call.kwargs,
        "fingerprint": call.fingerprint,
        "origin": call.origin,
    }


def of_claim(claim: Claim) -> dict[str, str | int]:
    """Return the arguments that say which attempt holds a key."""
    return {"key": claim.key, "call": claim.call, "owner": claim.owner, "fence": claim.fence}


def now() -> dict[str, str | int]:
    """Return the arguments that say when it is, on a clock that cannot be set."""
    moment = owner.boot_clock()
    return {"boot": moment.boot, "boot_ms": moment.ms}


def flag(value: object) -> str:
    """Return the truth of a value as scripts read it."""
    return "1" if value else ""


def call_limits(
    agent: str,
    task: str,
    *,
    policy: str,
    lease_ms: int,
    breaker: str,
    caps: Sequence[tuple[str, str]],
    rates: Sequence[tuple[str, str]],
    verify: str,
) -> CallLimits:
    """Return what a task's policy says of one call, with the keys that it selects.

    Args:
        agent: The agent.
        task: The Celery name of the task.
        policy: The policy as the scripts read it, as JSON text.
        lease_ms: How long a claim lives without a heartbeat.
        breaker: The scope of the breaker for this call.
        caps: Rule and scope of each cap.
        rates: Rule and scope of each rate.
        verify: How to prove that an effect did not happen, as JSON text; empty where the provider cannot be asked.

    """
    n = Keys(agent)
    cap_keys = tuple(n.cap(task, rule, scope) for rule, scope in caps)
    rate_keys = tuple(n.rate(task, rule, scope) for rule, scope in rates)
    return CallLimits(policy, lease_ms, n.breaker(task, breaker), cap_keys, rate_keys, verify)
