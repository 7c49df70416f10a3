"""The limits of one call: the policy of its task, with the keys that its arguments select."""

from __future__ import annotations

from collections.abc import Sequence

from state.model import CallLimits
from state.redis.keys import Keys


def call_limits(  # noqa: PLR0913 - one argument per policy
    agent: str,
    task: str,
    *,
    policy: str,
    lease_ms: int,
    breaker: str,
    caps: Sequence[tuple[str, str]],
    rates: Sequence[tuple[str, str]],
    budgets: Sequence[tuple[int, str]] = (),
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
        budgets: Window in ms and scope of each budget.
        verify: How to prove that an effect did not happen, as JSON text; empty where the provider cannot be asked.

    """
    n = Keys(agent)
    cap_keys = tuple(n.cap(task, rule, scope) for rule, scope in caps)
    rate_keys = tuple(n.rate(task, rule, scope) for rule, scope in rates)
    budget_keys = tuple(n.budget(task, window_ms, scope) for window_ms, scope in budgets)
    return CallLimits(policy, lease_ms, n.breaker(task, breaker), cap_keys, rate_keys, verify, budget_keys)
