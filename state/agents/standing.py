"""The standing of calls at the limits of their task: what is used of each cap and budget, free of each rate, and the breaker."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from state.constants import BUDGET_SLICES
from state.model import CallLimits
from state.redis import client
from state.redis.client import now_ms


@dataclass(frozen=True)
class CapUsed:
    """One cap: how many effects it counts now, and how many it allows."""

    rule: str
    used: int
    limit: int


@dataclass(frozen=True)
class BudgetUsed:
    """One budget: how many tokens it counts now, and how many it allows; `opens_ms` is 0 unless it is used up, since 1970."""

    rule: str
    used: int
    limit: int
    opens_ms: int


@dataclass(frozen=True)
class RateLeft:
    """One rate: how many calls may start at once now, out of how many; `wait` is the seconds until the next one may."""

    rule: str
    left: int
    burst: int
    wait: float


@dataclass(frozen=True)
class BreakerState:
    """One breaker; `open_until_ms` is 0 unless it is open, in ms since 1970."""

    failures: int
    after: int
    open_until_ms: int
    is_probing: bool


@dataclass(frozen=True)
class Standing:
    """The standing of the calls with these limits."""

    caps: tuple[CapUsed, ...]
    rates: tuple[RateLeft, ...]
    breaker: BreakerState | None
    budgets: tuple[BudgetUsed, ...] = ()


def read(limits: Sequence[CallLimits]) -> list[Standing]:
    """Return where the calls with each of these limits stand, in two round trips. Raises StoreError."""
    redis = client.client()
    now = now_ms(redis)
    with redis.pipeline(transaction=False) as pipe:
        for each in limits:
            policy = json.loads(each.policy)
            for name, rule in zip(each.caps, policy["caps"], strict=True):
                pipe.zcount(name, f"({now - rule['window_ms']}", "+inf")
            for name in each.rates:
                pipe.hget(name, "tat_ms")
            for name in each.budgets:
                pipe.hgetall(name)
            pipe.hmget(each.breaker, "failures", "open_until_ms", "probe", "probe_until_ms")
        found = iter(pipe.execute())
    return [_standing(json.loads(each.policy), found, now) for each in limits]


def _standing(policy: dict[str, Any], found: Iterator[Any], now: int) -> Standing:
    caps = tuple(CapUsed(rule["rule"], int(next(found)), rule["limit"]) for rule in policy["caps"])
    rates = tuple(_rate(rule, next(found), now) for rule in policy["rates"])
    budgets = tuple(_budget(rule, next(found), now) for rule in policy.get("budgets", ()))
    failures, until, probe, probe_until = next(found)
    if "breaker" not in policy:
        return Standing(caps, rates, None, budgets)
    open_until = int(until or 0)
    is_probing = bool(probe) and int(probe_until or 0) > now
    breaker = BreakerState(
        int(failures or 0), policy["breaker"]["after"], open_until if open_until > now else 0, is_probing
    )
    return Standing(caps, rates, breaker, budgets)


def _budget(rule: dict[str, Any], stored: dict[str, str], now: int) -> BudgetUsed:
    """Return the tokens that a budget counts, and when it lets calls start again; budget.lua.inc decides the same."""
    slice_ms = rule["window_ms"] / BUDGET_SLICES
    newest = math.floor(now / slice_ms)
    slices = sorted((min(int(number), newest), int(tokens)) for number, tokens in stored.items())
    counted = [(number, tokens) for number, tokens in slices if number >= newest - BUDGET_SLICES]
    used = rest = sum(tokens for _, tokens in counted)
    opens_ms = 0
    for number, tokens in counted:
        if rest < rule["limit"]:
            break
        rest -= tokens
        opens_ms = math.ceil((number + BUDGET_SLICES + 1) * slice_ms)
    return BudgetUsed(rule["rule"], used, rule["limit"], opens_ms)


def _rate(rule: dict[str, Any], arrival: str | None, now: int) -> RateLeft:
    """Return what a rate lets start at once, and when the next; gcra.lua.inc decides the same."""
    burst, every = int(rule["burst"]), float(rule["every_ms"])
    ahead = max(float(arrival or 0) - now, 0.0)
    free = math.floor(burst - ahead / every + 1e-9)
    return RateLeft(rule["rule"], max(0, min(burst, free)), burst, max(0.0, ahead + every * (1 - burst)) / 1000)
