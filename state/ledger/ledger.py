"""The ledger: who may run which key, and how each attempt ended. One method here is one atomic script there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis

from state import forbidden, options
from state.errors import JournalUnavailable
from state.journal import events as evidence
from state.journal import journal
from state.journal.events import Outcome, Settlement
from state.journal.heads import JournalHead
from state.journal.journal import Journal
from state.journal.projection import point_name, project
from state.ledger import owner as processes
from state.ledger import revoke
from state.model import (
    ArgumentsDiffer,
    Call,
    Claim,
    Decision,
    KeyInUse,
    NeedsLookup,
    NeedsResync,
    NotDue,
    Refusal,
    RegisteredKey,
    Replay,
    Unregistered,
    describe_difference,
)
from state.recovery import rebuild
from state.redis.keys import Keys
from state.redis.script import Script

__all__ = ["CallLimits", "ContentMismatch", "Ledger", "Outcome", "Settlement"]

#: A call that never started this long after its message was sent may have lost it.
GRACE_MS = 10_000
#: The longest pause between two sends of the same lost call.
MAX_GRACE_MS = 600_000
#: A call that took this many workers down with it is poison.
POISON_AFTER = 3
#: For a task without an effect, of which no journal is kept.
NOTHING = JournalHead("", 0)

_register = Script("register")
_admit = Script("admit")
_begin_effect = Script("begin_effect")
_checkpoint = Script("checkpoint")
_settle = Script("settle")
_renew = Script("renew")
_reclaim = Script("reclaim")
_reject = Script("reject")
_withdraw = Script("withdraw")


class ContentMismatch(ValueError):
    """Raised when the id of a call is known already, but for other content.

    `task` and `kwargs` (JSON text) are what the known call was registered as. With `options_only` it has the same task
    and the same arguments.
    """

    def __init__(self, message: str, task: str = "", kwargs: str = "{}", *, options_only: bool = False) -> None:
        super().__init__(message)
        self.task, self.kwargs, self.options_only = task, kwargs, options_only


def _other_content(call: Call, what: str, task: str, kwargs: str, *, options_only: bool = False) -> ContentMismatch:
    return ContentMismatch(
        f"the id {call.id} belongs to another call already; this one differs in {what}. "
        f"Nothing was started: give it an id of its own; see: celery -A workers gate explain {call.id}",
        task,
        kwargs,
        options_only=options_only,
    )


@dataclass(frozen=True)
class CallLimits:
    """The policy of one task as the scripts read it, and the keys it touches for one call's arguments.

    `verify` is how to prove that an effect did not happen, as begin_effect.lua reads it; empty where nobody can ask.
    """

    policy: str
    lease_ms: int
    breaker: str
    caps: tuple[str, ...] = ()
    rates: tuple[str, ...] = ()
    verify: str = ""


class Ledger:
    """The scripts, with their keys and arguments in order; what they say of effects is in the journal first."""

    def __init__(self, redis: Redis, book: Journal | None = None) -> None:
        self.redis = redis
        self._book = book

    @property
    def journal(self) -> Journal:
        return self._book or journal.current()

    def register(self, call: Call, delay_ms: int = 0, expires_ms: int = 0, digest: str = "") -> bool:
        """Write the call down, to be sent now or after a delay, and to be refused once `expires_ms` have passed (0: never).

        `digest` is that of what the call was made from, if that says more than its arguments.

        Returns:
            False if this very call was known already.

        Raises:
            ContentMismatch: The id is known for another task, other arguments or another digest, or this call asks for
                options that the known one lacks.

        """
        n = Keys(call.agent)
        said = options.from_json(call.options)
        answer = _register(
            self.redis,
            n.of(call.key, call.id),
            **_of_call(call),
            grace_ms=GRACE_MS,
            delay_ms=delay_ms,
            expires_ms=expires_ms,
            digest=digest,
            options=call.options,
            lane=said.lane,
            is_followed=_flag(said.has_followers),
            has_effect=int(call.effect),
        )
        match answer:
            case ["registered", now]:
                if call.effect:
                    due, ends = delay_ms and now + delay_ms, expires_ms and now + expires_ms
                    kept = {"at_ms": str(due or ""), "expires_ms": str(ends or ""), "digest": digest}
                    self._write_down_registered(call, kept)
                return True
            case ["known", "cancelled", *_] if forbidden.was_taken_back(self.redis, call.agent, call.id):
                return False
            case ["known", _, made_from, task, kwargs, _] if digest and made_from != digest:
                raise ContentMismatch(f"call {call.id} was made before, from something else", task, kwargs)
            case ["known", _, _, task, kwargs, _] if not digest and (task, kwargs) != (call.task, call.kwargs):
                raise _other_content(call, describe_difference(call, task, kwargs), task, kwargs)
            case ["known", _, _, task, kwargs, kept] if not digest and (
                more := said.lacking_in(options.from_json(kept))
            ):
                raise _other_content(call, f"its {more}", task, kwargs, options_only=True)
            case ["known", "queued" | "waiting", *_] if call.effect:
                # The first time may have ended right before this.
                evidence.registered(self.journal, call, self.redis.hgetall(n.call(call.id)))
        return False

    def _write_down_registered(self, call: Call, kept: Mapping[str, str]) -> None:
        """Journal a call that was just registered; raises JournalUnavailable, and then it is not registered any more."""
        try:
            evidence.registered(self.journal, call, kept)
        except JournalUnavailable:
            if _withdraw(self.redis, Keys(call.agent).of(call.key, call.id), call=call.id)[0] == "withdrawn":
                raise

    def reject(
        self, call: Call, receipt: dict[str, Any], keep_ms: int, sent: str = "{}", *, checked: bool = True
    ) -> ArgumentsDiffer | Unregistered | str:
        """Record that a call was refused before it was admitted: its arguments do not fit.

        `sent` are the arguments as the message carries them. Without `checked`, nothing is written of a call that nobody
        registered. Returns the state in which the call stands.
        """
        n = Keys(call.agent)
        key = str(self.redis.hget(n.call(call.id), "key") or f"{call.task}:{call.id}")
        answer = _reject(
            self.redis,
            n.of(key, call.id),
            call=call.id,
            task=call.task,
            kwargs=call.kwargs,
            origin=call.door,
            receipt=json.dumps(receipt),
            keep_ms=keep_ms,
            sent_kwargs=sent,
            accepts_unregistered=_flag(checked),
        )
        match answer:
            case ["differs", task, kwargs]:
                return ArgumentsDiffer(task, kwargs)
            case ["unregistered"]:
                return Unregistered()
            case ["kept", state]:
                return str(state)
        return "rejected"

    def agent_of(self, call: str, agents: Sequence[str]) -> str | None:
        """The first of these agents that has a call of this id, or None."""
        with self.redis.pipeline(transaction=False) as pipe:
            for agent in agents:
                pipe.hexists(Keys(agent).call(call), "task")  # an id that was revoked before it was known has none
            return next((agent for agent, found in zip(agents, pipe.execute(), strict=True) if found), None)

    def standing(self, agent: str, key: str) -> str | None:
        """Where a key stands, or None if it was never asked for."""
        state = self.redis.hget(Keys(agent).key(key), "state")
        return None if state is None else str(state)

    def cancel(self, agent: str, call: str, by: str) -> bool:
        """End a call that has not begun; False if it has, or is not known."""
        return revoke.cancel(self.redis, self.journal, agent, call, by).is_new

    def admit(  # noqa: PLR0913 - one argument per thing that a caller may have found out
        self,
        call: Call,
        owner: str,
        terms: CallLimits,
        alive: str = "",
        known: JournalHead = NOTHING,
        closed: str = "",
        *,
        sent: str = "",
        checked: bool = True,
        expires_ms: int | None = None,
    ) -> Decision:
        """Decide in one step; a `Claim` must be settled. `alive` names a holder that is known to live.

        For a task with an effect, `known` is what the journal holds, and `closed` why no effect may happen here.
        `sent` are the arguments as the message carries them. Without `checked`, a call that nobody registered is not
        admitted but `Unregistered`; `expires_ms` is when such a call is too old.
        """
        limits = {"breaker": terms.breaker, "limits": (*terms.caps, *terms.rates)}
        answer = _admit(
            self.redis,
            {**Keys(call.agent).of(call.key, call.id), **limits},
            **_of_call(call),
            owner=owner,
            lease_ms=terms.lease_ms,
            policy=terms.policy,
            alive_owner=alive,
            epoch=known.epoch,
            fence=known.fence,
            closed_reason=closed,
            sent_kwargs=sent,
            accepts_unregistered=_flag(checked),
            expires_ms="" if expires_ms is None else expires_ms,
        )
        match answer:
            case ["claimed", fence, attempt, now, payload, door, waits, said, before, fingerprint]:
                which = (call.agent, call.key, call.id, owner, fence, attempt, now, known.epoch)
                kept = {"options": said, "waits_before": before, "fingerprint": fingerprint}
                return Claim(*which, payload, door, waits=bool(waits), **kept)
            case ["verify", now, in_doubt, fence, attempt, payload]:
                return NeedsLookup(
                    Claim(call.agent, call.key, call.id, in_doubt, fence, attempt, now, known.epoch, payload)
                )
        return _without_claim(answer)

    def cross(self, call: Call, claim: Claim, terms: CallLimits, payload: str, events: Sequence[str]) -> list[Any]:
        """Step over the line; answers ["sending", payload], ["lost", state], ["paused", pause] or ["closed"].

        The intent is on the disk before Redis is asked: the other way round, a loss of Redis in between would leave an
        effect that nobody knows of. Raises JournalUnavailable; nothing was sent then.
        """
        if claim.epoch:
            evidence.intent(self.journal, call, claim, payload, terms.verify)
            here = self.journal.known(claim.agent)
            if here is None or here.lacks or here.epoch != claim.epoch:
                evidence.not_sent(self.journal, claim, "another epoch began")
                return ["closed"]
        answer = [""]
        try:
            answer = _begin_effect(
                self.redis,
                Keys(claim.agent).of(claim.key, claim.call),
                owner=claim.owner,
                fence=claim.fence,
                payload=payload,
                epoch=claim.epoch,
                key=claim.key,
                verify=terms.verify,
                events=events,
            )
        finally:
            if answer[0] != "sending" and claim.epoch:
                evidence.not_sent(self.journal, claim, str(answer[0]) or "Redis gave no answer")
        return answer

    def point(self, claim: Claim, name: str, text: str = "") -> str | None:
        """What an attempt of this key kept under a name for this text, or before it had one."""
        names = list(dict.fromkeys([point_name(name, text), name]))
        found = self.redis.hmget(Keys(claim.agent).key(claim.key), [f"point:{one}" for one in names])
        value = next((one for one in found if one is not None), None)
        if value is None and claim.payload:  # an earlier attempt was here, and may have died before Redis was told
            points = project(self.journal.files(), key=claim.key).points.get((claim.agent, claim.key), {})
            value = next((points[one] for one in names if one in points), None)
        return None if value is None else str(value)

    def write_point(self, claim: Claim, name: str, value: str, text: str = "") -> None:
        """Journal what an attempt keeps, before Redis is told. Raises JournalUnavailable."""
        if claim.epoch:
            evidence.point(self.journal, claim, name, value, text)

    def keep_point(self, claim: Claim, name: str, value: str, text: str = "") -> bool:
        """Keep it; False if the claim is lost. `text` names the text that it belongs to; empty before there is one."""
        answer = _checkpoint(
            self.redis,
            Keys(claim.agent).of(claim.key),
            owner=claim.owner,
            fence=claim.fence,
            name=point_name(name, text),
            value=value,
        )
        return bool(answer[0] == "kept")

    def write_down(self, claim: Claim, end: Settlement) -> None:
        """Journal the outcome of an attempt that crossed the line, before Redis is told."""
        if claim.epoch:
            evidence.outcome(self.journal, claim, end)

    def end(self, call: Call, state: str, why: str = "") -> None:
        """Journal that a call ended without crossing the line."""
        if call.effect:
            evidence.ended(self.journal, call.agent, call.key, call.id, state, why)

    def settle(self, claim: Claim, terms: CallLimits, end: Settlement) -> str | None:
        """Record the end of an attempt; answers the key's state if the claim was lost, else None."""
        n = Keys(claim.agent)
        collections = list(dict.fromkeys(change.collection for change in end.facts if change.collection))
        lists = {"caps_and_collections": (*terms.caps, *map(n.collection, collections))}
        facts = [change.as_row(collections) for change in end.facts]
        answer = _settle(
            self.redis,
            {**n.of(claim.key, claim.call), "breaker": terms.breaker, **lists},
            **_of_claim(claim),
            **_now(),
            outcome=end.outcome,
            result=end.result,
            flaw=end.flaw,
            error=end.error,
            retry_ms="" if end.retry_ms is None else end.retry_ms,
            effect_happened=int(end.effect_happened),
            policy=terms.policy,
            facts=json.dumps(facts) if facts else "",
            counters=json.dumps(end.counters),
            summary=end.summary,
            answer=end.answer,
            payload=end.payload,
            verify=terms.verify,
            waits=int(end.waits),
            look_ms=end.look_ms,
            events=end.events,
        )
        return str(answer[2]) if answer[0] == "lost" else None

    def renew(self, claim: Claim, terms: CallLimits) -> bool:
        """Prolong the claim, and the probe if it is one; False if it is no longer held."""
        answer = _renew(
            self.redis,
            {**Keys(claim.agent).of(claim.key), "breaker": terms.breaker},
            key=claim.key,
            owner=claim.owner,
            fence=claim.fence,
            lease_ms=terms.lease_ms,
        )
        return bool(answer[0] == "renewed")

    def reclaim(self, agent: str, key: str, call: str, owner: str, fence: int, *, dead: bool) -> str:
        """Take a claim from a lost owner; answers where the key stands then, or "kept".

        What the owner still wrote into the journal is its last word.
        """
        n = Keys(agent)
        if self.redis.hget(n.key(key), "state") == "sending":
            said = rebuild.settle_from_journal(self.redis, self.journal, agent, key, fence)
            if said:
                return said
        caps = json.loads(self.redis.hget(n.key(key), "caps") or "[]")
        poison_after = 0 if processes.was_leaving(owner) or processes.was_abandoned(owner) else POISON_AFTER
        answer = _reclaim(
            self.redis,
            {**n.of(key, call), "caps": caps},
            **_now(),
            key=key,
            call=call,
            owner=owner,
            fence=fence,
            owner_is_dead=int(dead),
            poison_after=poison_after,
        )
        match answer:
            case ["held", why, effect]:
                if effect == "1":
                    evidence.held(self.journal, agent, key, call, fence, why)
                return "held"
            case [stands, *_]:
                return str(stands)
        raise AssertionError("reclaim.lua gave no answer")


def _without_claim(answer: list[Any]) -> Decision:
    """What admit.lua answers to a call that may not run now."""
    match answer:
        case ["replay", _, result, flaw]:
            return Replay(result, flaw)
        case ["refused" | "deferred" | "ended" as word, _, receipt]:
            return Refusal(json.loads(receipt), again=word == "ended")
        case ["busy", now, holder, fence, lease_ms, held_by]:
            return KeyInUse(holder, fence, lease_ms, held_by, now)
        case ["unchecked", _]:
            return NeedsResync()
        case ["other key", _, key]:
            return RegisteredKey(key)
    return _unwanted(answer)


def _unwanted(answer: list[Any]) -> Decision:
    """What admit.lua answers to a message that is not that of its call now."""
    match answer:
        case ["unregistered", _]:
            return Unregistered()
        case ["differs", _, task, kwargs]:
            return ArgumentsDiffer(task, kwargs)
        case ["early", now, due]:
            return NotDue(due, now)
    raise AssertionError(f"admit.lua answered {answer!r}")


def _of_call(call: Call) -> dict[str, str]:
    """Return the arguments that say what a call is."""
    return {
        "call": call.id,
        "task": call.task,
        "key": call.key,
        "kwargs": call.kwargs,
        "fingerprint": call.fingerprint,
        "origin": call.door,
    }


def _of_claim(claim: Claim) -> dict[str, str | int]:
    """Return the arguments that say which attempt holds a key."""
    return {"key": claim.key, "call": claim.call, "owner": claim.owner, "fence": claim.fence}


def _now() -> dict[str, str | int]:
    """Return the arguments that say when it is, on a clock that nobody can set."""
    moment = processes.boot_clock()
    return {"boot": moment.boot, "boot_ms": moment.ms}


def _flag(value: object) -> str:
    """Return the truth of a value as scripts read it."""
    return "1" if value else ""
