"""The way of one attempt: admitted, about to send its effect, settled; and what becomes of the claims of the dead."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from state.journal import events as evidence
from state.journal.events import Settlement
from state.journal.heads import JournalHead
from state.journal.projection import point_name, project
from state.ledger import arguments
from state.ledger import owner as owners
from state.ledger.stores import Stores
from state.model import (
    ArgumentsDiffer,
    Call,
    CallLimits,
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
)
from state.recovery import rebuild
from state.redis.keys import Keys
from state.redis.script import Script

#: A call that took this many workers down with it is poison.
POISON_AFTER = 3
#: For a task without an effect, of which no journal is kept.
NOTHING = JournalHead("", 0)

_admit = Script("admit")
_begin_effect = Script("begin_effect")
_checkpoint = Script("checkpoint")
_settle = Script("settle")
_renew = Script("renew")
_reclaim = Script("reclaim")


class Attempts(Stores):
    """The part of the ledger that admits calls, and follows each attempt to its end."""

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
            **arguments.of_call(call),
            owner=owner,
            lease_ms=terms.lease_ms,
            policy=terms.policy,
            alive_owner=alive,
            epoch=known.epoch,
            fence=known.fence,
            closed_reason=closed,
            sent_kwargs=sent,
            accepts_unregistered=arguments.flag(checked),
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
            if here is None or here.incomplete or here.epoch != claim.epoch:
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
            **arguments.of_claim(claim),
            **arguments.now(),
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
        poison_after = 0 if owners.was_leaving(owner) or owners.was_abandoned(owner) else POISON_AFTER
        answer = _reclaim(
            self.redis,
            {**n.of(key, call), "caps": caps},
            **arguments.now(),
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
