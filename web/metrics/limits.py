"""The metrics of caps, budgets, rates and breakers. A scope is not a label: scopes may be customers, without end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from gatekeeper.policies.spec import registered
from state.agents.numbers import Numbers
from web.metrics.catalogue import Sample, Samples
from workers.readings.limits import tightest


def samples(numbers: Sequence[Numbers], now_ms: int) -> Samples:
    """Yield the metrics of the limits of all tasks; raises StoreError."""
    limited = [spec for _, spec in sorted(registered().items()) if spec.caps or spec.budgets or spec.rates]
    for task in tightest(limited):
        labels = (task.spec.agent, task.spec.name)
        for cap in task.caps:
            yield Sample("cap_used", (*labels, cap.rule), cap.used)
            yield Sample("cap_limit", (*labels, cap.rule), cap.limit)
        for budget in task.budgets:
            yield Sample("budget_used", (*labels, budget.rule), budget.used)
            yield Sample("budget_limit", (*labels, budget.rule), budget.limit)
        for rate in task.rates:
            yield Sample("rate_wait_seconds", (*labels, rate.rule), rate.wait)
    for each in numbers:
        yield from _breakers(each, now_ms)


def _breakers(each: Numbers, now_ms: int) -> Samples:
    opened: dict[str, list[int]] = defaultdict(list)
    for task, since_ms in each.breakers:
        opened[task].append(since_ms)
    for task, spec in sorted(registered().items()):
        if spec.agent == each.agent and spec.breaker:
            oldest = min(opened[task], default=now_ms)
            yield Sample("breakers_open", (each.agent, task), len(opened[task]))
            yield Sample("breaker_open_seconds", (each.agent, task), max(0, now_ms - oldest) / 1000)
