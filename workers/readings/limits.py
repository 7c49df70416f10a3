"""The limits of tasks, and what is left of each for the arguments that the newest calls had."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gatekeeper.errors import InvalidArguments
from gatekeeper.policies.spec import TaskSpec, registered
from state.agents import calls, standing
from state.agents.standing import BudgetUsed, CapUsed, RateLeft, Standing
from state.formatting import iso
from state.model import CallLimits

#: Newest calls of an agent whose arguments are looked at: they name the destinations or customers in use.
NEWEST_CALLS = 30
#: Scopes of one task that are shown.
MAX_SCOPES = 6


@dataclass(frozen=True)
class LimitLeft:
    """One limit for one scope; `until` is when an open breaker or a used-up budget lets a call through, ISO 8601 in UTC."""

    kind: str  #: "cap", "budget", "rate" or "breaker"
    task: str
    scope: str
    rule: str
    left: str
    is_bad: bool = False
    until: str = ""


@dataclass(frozen=True)
class Tightest:
    """A task's caps, budgets and rates, one of each rule: of those with a scope, that of the scope which has least left."""

    spec: TaskSpec
    caps: tuple[CapUsed, ...]
    budgets: tuple[BudgetUsed, ...]
    rates: tuple[RateLeft, ...]


def of_agent(agent: str) -> list[LimitLeft]:
    """Return every limit of the agent's tasks, with what is left of it. Raises StoreError."""
    specs = {name: spec for name, spec in registered().items() if spec.agent == agent and _has_limits(spec)}
    if not specs:
        return []
    chosen = list(_chosen(agent, specs))
    found = standing.read([limits for _, _, limits in chosen])
    told = [limit for (spec, scope, _), each in zip(chosen, found, strict=True) for limit in _told(spec, scope, each)]
    return list(dict.fromkeys(told))  # a cap of the whole task is the same in every scope


def tightest(specs: Sequence[TaskSpec]) -> list[Tightest]:
    """Return the caps, budgets and rates of these tasks, as far as the newest calls use them. Raises StoreError."""
    chosen = [(spec, spec.limits(dict.fromkeys(spec.contract.parameters))) for spec in specs]  # of all without a scope
    scoped = [spec for spec in specs if any(_scopes_of(spec))]
    for agent in sorted({spec.agent for spec in scoped}):
        own = {spec.name: spec for spec in scoped if spec.agent == agent}
        chosen += [(spec, limits) for spec, _, limits in _chosen(agent, own)]
    found = standing.read([limits for _, limits in chosen])
    by_task: dict[str, list[Standing]] = {}
    for (spec, _), each in zip(chosen, found, strict=True):
        by_task.setdefault(spec.name, []).append(each)
    return [_tightest(spec, by_task[spec.name]) for spec in specs]


def _tightest(spec: TaskSpec, found: list[Standing]) -> Tightest:
    caps = sorted((cap for each in found for cap in each.caps), key=lambda cap: cap.used)
    budgets = sorted((budget for each in found for budget in each.budgets), key=lambda budget: budget.used)
    rates = sorted((rate for each in found for rate in each.rates), key=lambda rate: rate.wait)
    return Tightest(
        spec,
        tuple({cap.rule: cap for cap in caps}.values()),
        tuple({budget.rule: budget for budget in budgets}.values()),
        tuple({rate.rule: rate for rate in rates}.values()),
    )


def _scopes_of(spec: TaskSpec) -> Iterator[str]:
    """Yield the scope of each cap, budget and rate of a task; empty for one that holds for all its calls."""
    yield from (cap.scope for cap in spec.caps)
    yield from (budget.scope for budget in spec.budgets)
    yield from (rate.scope for rate in spec.rates)


def _has_limits(spec: TaskSpec) -> bool:
    return bool(spec.caps or spec.budgets or spec.rates or spec.breaker)


def _chosen(agent: str, specs: dict[str, TaskSpec]) -> Iterator[tuple[TaskSpec, str, CallLimits]]:
    """Yield for each task the limits of its newest calls, one for each scope."""
    known: dict[tuple[str, str], tuple[TaskSpec, str, CallLimits]] = {}
    for task, kwargs in calls.newest_arguments(agent, NEWEST_CALLS):
        spec = specs.get(task)
        if spec is None or sum(name == task for name, _ in known) >= MAX_SCOPES:
            continue
        try:
            arguments = spec.contract.bind((), json.loads(kwargs))
            limits, scope = spec.limits(arguments), spec.scope(arguments)
        except (InvalidArguments, ValueError):
            continue  # the task's arguments have changed since
        known.setdefault((task, scope), (spec, scope, limits))
    yield from known.values()


def _told(spec: TaskSpec, scope: str, found: Standing) -> Iterator[LimitLeft]:
    task = spec.name.rpartition(".")[2]
    for cap, policy in zip(found.caps, spec.caps, strict=True):
        where = scope if policy.scope else ""
        yield LimitLeft("cap", task, where, cap.rule, f"{cap.used} of {cap.limit} used", cap.used >= cap.limit)
    for budget, of in zip(found.budgets, spec.budgets, strict=True):
        yield _of_budget(task, scope if of.scope else "", budget)
    for rate, rule in zip(found.rates, spec.rates, strict=True):
        where = scope if rule.scope else ""
        yield LimitLeft("rate", task, where, rate.rule, f"{rate.left} of {rate.burst} free now", rate.left == 0)
    if found.breaker and spec.breaker:
        yield _of_breaker(task, scope if spec.breaker.scope else "", found)


def _of_budget(task: str, scope: str, budget: BudgetUsed) -> LimitLeft:
    left = f"{budget.used:,} of {budget.limit:,} tokens used, {max(0, budget.limit - budget.used):,} left"
    until = iso(budget.opens_ms, "seconds") if budget.opens_ms else ""
    return LimitLeft("budget", task, scope, budget.rule, left, is_bad=bool(until), until=until)


def _of_breaker(task: str, scope: str, found: Standing) -> LimitLeft:
    breaker: Any = found.breaker
    rule = f"opens after {breaker.after} failures in a row"
    if breaker.open_until_ms:
        return LimitLeft("breaker", task, scope, rule, "open", is_bad=True, until=iso(breaker.open_until_ms, "seconds"))
    if breaker.is_probing:
        return LimitLeft("breaker", task, scope, rule, "one probe is under way", is_bad=True)
    failed = f", {breaker.failures} failed in a row" if breaker.failures else ""
    return LimitLeft("breaker", task, scope, rule, f"closed{failed}")
