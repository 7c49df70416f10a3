"""The ledger: who may run which key, and how each attempt ended. One method here is one atomic script there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from redis import Redis

from state import owner as processes
from state.call import Call
from state.decision import Busy, Claim, Decision, Refused, Replay
from state.facts import FactChange
from state.names import Names
from state.store import Script

#: A call that never started this long after its message was sent may have lost it.
GRACE_MS = 10_000
#: The longest pause between two sends of the same lost call.
LONGEST_GRACE_MS = 600_000
#: A call that took this many workers down with it is poison.
POISON_AFTER = 3

Outcome = Literal["done", "failed", "refused", "unknown"]

_register = Script("register")
_admit = Script("admit")
_cross = Script("cross")
_settle = Script("settle")
_renew = Script("renew")
_reclaim = Script("reclaim")
_cancel = Script("cancel")
_reject = Script("reject")


class OtherContent(ValueError):
    """Raised when a call is registered a second time, but made from something else than the first time."""


@dataclass(frozen=True)
class Terms:
    """The policy of one task as the scripts read it, and the keys it touches for one call's arguments."""

    policy: str
    lease_ms: int
    breaker: str
    caps: tuple[str, ...] = ()
    rates: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settlement:
    """How one attempt ended; the texts are JSON, empty when there is none."""

    outcome: Outcome
    result: str = ""
    flaw: str = ""
    error: str = ""
    answer: str = ""
    retry_ms: int | None = None
    effect_happened: bool = False
    facts: Sequence[FactChange] = ()
    counters: dict[str, int] = field(default_factory=dict)
    summary: str = "{}"
    events: Sequence[str] = ()


class Ledger:
    """The scripts, with their keys and arguments in order."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis

    def register(self, call: Call, delay_ms: int = 0, expires_ms: int = 0, digest: str = "") -> bool:
        """Write the call down, to be sent now or after a delay, and to be refused once `expires_ms` have passed (0: never).

        False if this very call was known already. `digest` is that of what the call was made from; raises OtherContent
        if the known one was made from something else.
        """
        n = Names(call.agent)
        keys = [n.call(call.id), n.key(call.key), n.queued, n.waiting, n.story(call.key)]
        what = [call.id, call.task, call.key, call.kwargs, call.fingerprint, call.door]
        args = [*what, str(GRACE_MS), str(delay_ms), str(expires_ms), digest]
        match _register(self.redis, keys, args):
            case ["registered"]:
                return True
            case ["known", _, made_from] if digest and made_from != digest:
                raise OtherContent(f"call {call.id} was made before, from something else")
        return False

    def reject(self, call: Call, receipt: dict[str, Any], keep_ms: int) -> None:
        """Record that a call was refused before it was admitted: its arguments do not fit."""
        n = Names(call.agent)
        key = str(self.redis.hget(n.call(call.id), "key") or f"{call.task}:{call.id}")
        keys = [n.call(call.id), n.key(key), n.queued, n.waiting, n.story(key), n.head, n.metrics]
        _reject(self.redis, keys, [call.id, call.task, call.kwargs, call.door, json.dumps(receipt), keep_ms])

    def door(self, claim: Claim) -> str:
        """The door that the claim's call came through; its message does not tell."""
        return str(self.redis.hget(Names(claim.agent).call(claim.call), "door") or "")

    def standing(self, agent: str, key: str) -> str | None:
        """Where a key stands, or None if it was never asked for."""
        state = self.redis.hget(Names(agent).key(key), "state")
        return None if state is None else str(state)

    def cancel(self, agent: str, call: str, by: str) -> bool:
        """End a call that has not begun; False if it has, or is not known."""
        n = Names(agent)
        key = self.redis.hget(n.call(call), "key")
        if key is None:
            return False
        keys = [n.key(key), n.call(call), n.queued, n.waiting, n.story(key), n.head]
        return bool(_cancel(self.redis, keys, [call, by])[0] == "cancelled")

    def admit(self, call: Call, owner: str, terms: Terms, alive: str = "") -> Decision:
        """Decide in one step; a `Claim` must be settled. `alive` names a holder that is known to live."""
        n = Names(call.agent)
        keys = [
            n.key(call.key), n.call(call.id), n.queued, n.waiting, n.running, n.head, n.metrics,
            n.story(call.key), terms.breaker, n.events, *terms.caps, *terms.rates,
        ]  # fmt: skip
        args: list[str | int] = [
            call.id, call.task, call.key, call.kwargs, call.fingerprint, call.door, owner, terms.lease_ms, terms.policy,
            alive,
        ]  # fmt: skip
        answer = _admit(self.redis, keys, args)
        match answer:
            case ["claimed", fence, attempt, now]:
                return Claim(call.agent, call.key, call.id, owner, fence, attempt, now)
            case ["replay", now, result, flaw]:
                return Replay(result, flaw, now)
            case ["refused" | "deferred" | "ended" as word, now, receipt]:
                return Refused(json.loads(receipt), now, again=word == "ended")
            case ["busy", now, holder, fence, lease_ms, held_by]:
                return Busy(holder, fence, lease_ms, held_by, now)
        raise AssertionError(f"admit.lua answered {answer!r}")

    def cross(self, claim: Claim, payload: str, events: Sequence[str]) -> list[Any]:
        """Step over the line; answers ["sending", payload], ["lost", state] or ["paused", pause]."""
        n = Names(claim.agent)
        keys = [n.key(claim.key), n.head, n.story(claim.key), n.call(claim.call)]
        return _cross(self.redis, keys, [claim.owner, claim.fence, payload, *events])

    def settle(self, claim: Claim, terms: Terms, end: Settlement) -> str | None:
        """Record the end of an attempt; answers the key's state if the claim was lost, else None."""
        n = Names(claim.agent)
        collections = list(dict.fromkeys(change.collection for change in end.facts if change.collection))
        keys = [
            n.key(claim.key), n.call(claim.call), n.waiting, n.running, n.head, n.metrics, n.story(claim.key),
            n.errors, n.held, n.facts, n.events, terms.breaker, *terms.caps, *map(n.collection, collections),
        ]  # fmt: skip
        facts = [change.as_row(collections) for change in end.facts]
        args: list[str | int] = [
            claim.key, claim.call, claim.owner, claim.fence, end.outcome, end.result, end.flaw, end.error,
            "" if end.retry_ms is None else end.retry_ms, int(end.effect_happened), terms.policy,
            json.dumps(facts) if facts else "", json.dumps(end.counters), end.summary, end.answer, *end.events,
        ]  # fmt: skip
        answer = _settle(self.redis, keys, args)
        return str(answer[2]) if answer[0] == "lost" else None

    def renew(self, claim: Claim, terms: Terms) -> bool:
        """Prolong the claim, and the probe if it is one; False if it is no longer held."""
        n = Names(claim.agent)
        args: list[str | int] = [claim.key, claim.owner, claim.fence, terms.lease_ms]
        return bool(_renew(self.redis, [n.key(claim.key), n.running, terms.breaker], args)[0] == "renewed")

    def reclaim(self, agent: str, key: str, call: str, owner: str, fence: int, *, dead: bool) -> str:
        """Take a claim from a lost owner; answers where the key stands then, or "kept"."""
        n = Names(agent)
        caps = json.loads(self.redis.hget(n.key(key), "caps") or "[]")
        keys = [n.key(key), n.call(call), n.waiting, n.running, n.held, n.story(key), n.head, n.metrics, *caps]
        poison_after = 0 if processes.was_leaving(owner) else POISON_AFTER
        args: list[str | int] = [key, call, owner, fence, int(dead), poison_after]
        return str(_reclaim(self.redis, keys, args)[0])
