"""Limits that belong to no agent: the rate of a webhook source, and the rate, breaker and pauses of a model provider."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal
from uuid import uuid4

from state.redis import client
from state.redis.script import Script

#: The longest pause that a provider may ask for; a wrong header cannot switch it off for longer.
MAX_PAUSE_MS = 24 * 3600 * 1000
#: A provider's record outlives its longest pause, and expires when no process asks the provider any more.
KEEP_MS = 2 * MAX_PAUSE_MS

#: How a request ended. `ok`: the provider works. `failed`: it does not. `later`: it asks for a pause, which is not a
#: failure. `refused`: it works and will never answer this question. `barred`: it refuses our key; a person has to act.
Outcome = Literal["ok", "failed", "later", "refused", "barred"]

_permit = Script("permit")
_report = Script("report")
_throttle = Script("throttle")


@dataclass(frozen=True)
class ProviderKeys:
    """The keys of one provider; the slash keeps its hash tag apart from those of agents."""

    provider: str

    @property
    def record(self) -> str:
        """hash: tat_ms failures open_until_ms opened_ms probe probe_until_ms why not_before_ms paused_ms"""
        return f"gate:{{provider/{self.provider}}}:record"

    def refused(self, question: str) -> str:
        """string: why the provider refused one question; until it expires, the question is not sent again"""  # noqa: D401 - the Redis type
        return f"gate:{{provider/{self.provider}}}:refused:{question}"


@dataclass(frozen=True)
class ProviderLimits:
    """The rate and the breaker of a provider: `burst` requests at once, then one every `every_ms`.

    After `after` consecutive failures the breaker is open for `cooldown_ms`, then one probe may run for `probe_ms`.
    """

    burst: int
    every_ms: float
    after: int
    cooldown_ms: int
    probe_ms: int


@dataclass(frozen=True)
class Permit:
    """The permission to send one request; `report` its end. `question` is a digest of the request."""

    provider: str
    question: str
    asker: str
    limits: ProviderLimits


@dataclass(frozen=True)
class Denied:
    """The refusal of a request; `retry_after` is in seconds."""

    why: str
    retry_after: float


def permit(provider: str, question: str, limits: ProviderLimits) -> Permit | Denied:
    """Ask for the permission to send one request; a denial uses no capacity."""
    asked = Permit(provider, question, uuid4().hex, limits)
    answer = _permit(
        client.client(),
        _keys(asked),
        asker=asked.asker,
        burst=limits.burst,
        every_ms=str(limits.every_ms),
        probe_ms=limits.probe_ms,
        keep_ms=KEEP_MS,
    )
    match answer:
        case ["permitted"]:
            return asked
        case ["denied", why, ms]:
            return Denied(str(why), int(ms) / 1000)
    raise AssertionError("permit.lua gave no answer")


def report(permit: Permit, outcome: Outcome, why: str = "", seconds: float | None = None) -> str:
    """Record how a request ended, for all processes.

    Args:
        permit: The permission of the request.
        outcome: How it ended.
        why: The reason, for people.
        seconds: The pause that the provider asked for; None for the cooldown of its breaker.

    Returns:
        The state of the provider: `works`, `counted`, `opened`, `pauses` or `stays open`.

    """
    limits = permit.limits
    wanted = limits.cooldown_ms if seconds is None else math.ceil(min(seconds * 1000, MAX_PAUSE_MS))
    ms = max(1, wanted)  # Redis does not accept an expiry of zero
    answer = _report(
        client.client(),
        _keys(permit),
        asker=permit.asker,
        outcome=outcome,
        open_after=limits.after,
        open_ms=ms,
        keep_ms=KEEP_MS,
        reason=why,
    )
    return str(answer[0])


@dataclass(frozen=True)
class ProviderTrouble:
    """The failures of a provider that have not been followed by a success; times are ms since 1970."""

    failures: int
    why: str
    closed_until_ms: int  #: until when it is not asked, 0 if it is


def trouble(provider: str) -> ProviderTrouble | None:
    """Return what is wrong with a provider; None if its last request went well, or if it was never asked.

    Args:
        provider: The identity of the provider.

    Raises:
        StoreError: Redis does not answer.

    """
    name = ProviderKeys(provider).record
    failures, why, until, pause = client.client().hmget(name, "failures", "why", "open_until_ms", "not_before_ms")
    closed = max(int(until or 0), int(pause or 0))
    if not (failures or until) and closed <= client.now_ms(client.client()):
        return None
    return ProviderTrouble(int(failures or 0), str(why or "it asks for a pause"), closed)


def _keys(permit: Permit) -> dict[str, str]:
    names = ProviderKeys(permit.provider)
    return {"provider": names.record, "refused_question": names.refused(permit.question)}


def source_key(source: str) -> str:
    """hash: tat_ms (theoretical arrival time); the slash keeps its hash tag apart from those of agents"""
    return f"gate:{{source/{source}}}:rate"


def throttle(source: str, burst: int, every_ms: float) -> float:
    """Count one delivery of a webhook source.

    Args:
        source: The name of the source.
        burst: How many deliveries may come at once.
        every_ms: Milliseconds between deliveries after a burst.

    Returns:
        0 if the delivery may pass; otherwise the seconds to wait. A delivery that has to wait is not counted.

    """
    match _throttle(client.client(), {"rate": source_key(source)}, burst=burst, every_ms=str(every_ms)):
        case ["wait", ms]:
            return int(ms) / 1000
    return 0.0
