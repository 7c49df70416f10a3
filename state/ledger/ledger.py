"""The ledger: the way of one call through both stores, from its registration to the end of an attempt.

No caller can write to one store and leave the other out. Records of effects are in the journal before Redis knows them;
the end of a call without an effect is in Redis first, for the reason that `Ledger.settle` gives. What persons, sweepers
and recoveries do is in upkeep.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

from state import forbidden, options
from state.agents import facts
from state.errors import JournalUnavailable, RedisAway
from state.formatting import describe_difference
from state.journal import events
from state.journal.heads import JournalHead
from state.journal.projection import point_name, project
from state.ledger import owner as owners
from state.ledger import sweep
from state.ledger.owner import Moment
from state.ledger.sweep import GRACE_MS
from state.ledger.upkeep import Upkeep
from state.model import (
    ArgumentsDiffer,
    AttemptResult,
    Call,
    CallLimits,
    Claim,
    ContentMismatch,
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
from state.recovery import epoch, recover
from state.redis.client import retry_while_unavailable
from state.redis.keys import Keys
from state.redis.script import Script

#: Seconds. An attempt waits this long for Redis to come back where giving up would cost more: longer than a restart takes.
PATIENCE = 60.0
#: Look-ups without a proof, either way, after which a person is asked.
MAX_LOOKS = 20
#: How often one key may be sent again because it was proven absent: more often points to a fault.
MAX_PROOFS = 3
#: For a task without an effect, of which no journal is kept.
NOTHING = JournalHead("", 0)

_register = Script("register")
_reject = Script("reject")
_withdraw = Script("withdraw")
_admit = Script("admit")
_begin_effect = Script("begin_effect")
_checkpoint = Script("checkpoint")
_renew = Script("renew")
_settle = Script("settle")
_reconcile = Script("reconcile")


class Ledger(Upkeep):
    """The record of which process may run which key, and of how each attempt ended."""

    # A call is registered, or refused before it is admitted

    def register(self, call: Call, delay_ms: int = 0, expires_ms: int = 0, digest: str = "") -> bool:
        """Write the call down, to be sent now or after a delay, and to be refused once `expires_ms` have passed (0: never).

        `digest` is that of what the call was made from, if that says more than its arguments.

        Returns:
            False if this very call was known already.

        Raises:
            ContentMismatch: The id is known for another task, other arguments or another digest, or this call asks for
                options that the known one lacks.

        """
        answer = _register(
            self.redis,
            Keys(call.agent).of(call.key, call.id),
            **_of_call(call),
            grace_ms=GRACE_MS,
            delay_ms=delay_ms,
            expires_ms=expires_ms,
            digest=digest,
            **options.of_registration(call.options),
            has_effect=int(call.effect),
        )
        if answer[0] == "known":
            return self._check_known(call, digest, answer)
        if call.effect:
            now = int(answer[1])
            due, ends = delay_ms and now + delay_ms, expires_ms and now + expires_ms
            kept = {"at_ms": str(due or ""), "expires_ms": str(ends or ""), "digest": digest}
            self._journal_registered(call, kept)
        return True

    def _check_known(self, call: Call, digest: str, answer: list[Any]) -> Literal[False]:
        """Raise ContentMismatch unless the call that is known under this id is the same call."""
        asked = options.from_json(call.options)
        match answer:
            case ["known", "cancelled", *_] if forbidden.is_forbidden(self.redis, call.agent, call.id):
                return False
            case ["known", _, made_from, task, kwargs, _] if digest and made_from != digest:
                raise ContentMismatch(f"call {call.id} was made before, from something else", task, kwargs)
            case ["known", _, _, task, kwargs, _] if not digest and (task, kwargs) != (call.task, call.kwargs):
                raise _other_content(call, describe_difference(call, task, kwargs), task, kwargs)
            case ["known", _, _, task, kwargs, kept] if not digest and (
                more := asked.lacking_in(options.from_json(kept))
            ):
                raise _other_content(call, f"its {more}", task, kwargs, options_only=True)
            case ["known", "queued" | "waiting", *_] if call.effect:
                # The process that registered it may have ended right before this.
                events.registered(self.journal, call, self.redis.hgetall(Keys(call.agent).call(call.id)))
        return False

    def _journal_registered(self, call: Call, kept: Mapping[str, str]) -> None:
        """Journal a call that was just registered; raises JournalUnavailable, and then it is not registered any more."""
        try:
            events.registered(self.journal, call, kept)
        except JournalUnavailable:
            if _withdraw(self.redis, Keys(call.agent).of(call.key, call.id), call=call.id)[0] == "withdrawn":
                raise

    def reject(
        self, call: Call, receipt: dict[str, Any], keep_ms: int, sent: str = "{}", *, checked: bool = True
    ) -> ArgumentsDiffer | Unregistered | str:
        """Record that a call was refused before it was admitted: its arguments do not fit.

        `sent` are the arguments as the message carries them. Without `checked`, nothing is written of a call that is not
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
            origin=call.origin,
            receipt=json.dumps(receipt),
            keep_ms=keep_ms,
            sent_kwargs=sent,
            accepts_unregistered="1" if checked else "",
        )
        match answer:
            case ["differs", task, kwargs]:
                return ArgumentsDiffer(task, kwargs)
            case ["unregistered"]:
                return Unregistered()
            case ["kept", state]:
                return str(state)
        return "rejected"

    def refuse_follower(self, call: Call, receipt: dict[str, Any], keep_ms: int) -> bool:
        """Record a follower that cannot be called, under the id that it would have had; False if that id is known."""
        n = Keys(call.agent)
        if self.redis.hget(n.call(call.id), "state") is not None:
            return False
        if call.options:
            self.redis.hset(n.call(call.id), "options", call.options)
            self.redis.zadd(n.followed, {call.id: 0})  # what follows this one, if it ends without a result
        self.reject(call, receipt, keep_ms)
        return True

    # A call is admitted

    def admit(
        self, call: Call, limits: CallLimits, *, sent: str = "", checked: bool = True, expires_ms: int | None = None
    ) -> Decision:
        """Decide whether a call may run now, and claim its key if so.

        A claim of a dead process, or one whose lease has ended, is taken away first. A Redis that was started anew is
        compared with the journal first, if the call has an effect.

        Args:
            call: The call.
            limits: What its task's policy says.
            sent: The arguments as the message carries them, as JSON text; empty for a call without a message.
            checked: No other agent has a call of this id. Otherwise a call that is not registered is `Unregistered`.
            expires_ms: When a call that is not registered is too old, in ms since 1970.

        Returns:
            The decision. A `Claim` must be settled.

        Raises:
            RedisAway: Redis does not answer. If it made a claim all the same, that is given up.

        """
        owner = owners.new()
        try:
            decision = self._admit_as(owner, call, limits, sent=sent, checked=checked, expires_ms=expires_ms)
        except RedisAway:
            owners.abandon(owner)
            raise
        match decision:
            case Replay():
                self._journal_end(call, "done")
            case Refusal(again=False, is_deferred=False):
                self._journal_end(call, "rejected", decision.text)
        return decision

    def _admit_as(self, owner: str, call: Call, limits: CallLimits, **message: Any) -> Decision:
        """Ask in the name of this owner; where another one holds the key, look whether it lives, and ask again."""
        admit = partial(self._admit_once, call, owner, limits, **message, **self._soundness(call))
        decision = admit()
        if isinstance(decision, NeedsResync):
            decision = admit(**self._resynced(call))
        if not isinstance(decision, KeyInUse):
            return decision
        dead = owners.is_dead(decision.owner)
        if dead or decision.lease_ms <= decision.now_ms:
            sweep.reclaim(
                self.redis, self.journal, call.agent, call.key, decision.call, decision.owner, decision.fence, dead=dead
            )
            return admit()
        return decision if decision.call == call.id else admit(alive=decision.owner)

    def _soundness(self, call: Call) -> dict[str, Any]:
        """Return what the journal knows of the agent's effects, which Redis must know too; nothing for a task without one."""
        if not call.effect:
            return {}
        try:
            self.journal.try_again()
            return {"known": epoch.known(self.redis, self.journal, call.agent)}
        except JournalUnavailable as error:
            return {"closed": str(error)}

    def _resynced(self, call: Call) -> dict[str, Any]:
        """Return the same once more, after Redis was compared with the journal."""
        try:
            if not recover.resync(self.redis, self.journal, call.agent):
                why = epoch.why_closed(self.redis, self.journal, call.agent)
                again = "Redis was started anew once more"
                return {"closed": f"{why}; run celery -A workers gate recover" if why else again}
        except JournalUnavailable as error:
            return {"closed": str(error)}
        return self._soundness(call)

    def _admit_once(  # noqa: PLR0913 - one argument per thing that was found out before
        self,
        call: Call,
        owner: str,
        limits: CallLimits,
        alive: str = "",
        known: JournalHead = NOTHING,
        closed: str = "",
        *,
        sent: str = "",
        checked: bool = True,
        expires_ms: int | None = None,
    ) -> Decision:
        """Ask Redis once. `alive` names a holder that is known to live, `closed` says why no effect may happen here."""
        names = {"breaker": limits.breaker, "limits": (*limits.caps, *limits.rates)}
        answer = _admit(
            self.redis,
            {**Keys(call.agent).of(call.key, call.id), **names},
            **_of_call(call),
            owner=owner,
            lease_ms=limits.lease_ms,
            policy=limits.policy,
            alive_owner=alive,
            epoch=known.epoch,
            fence=known.fence,
            closed_reason=closed,
            sent_kwargs=sent,
            accepts_unregistered="1" if checked else "",
            expires_ms="" if expires_ms is None else expires_ms,
        )
        match answer:
            case ["claimed", fence, attempt, now, payload, origin, waits, asked, before, fingerprint]:
                which = (call.agent, call.key, call.id, owner, fence, attempt, now, known.epoch)
                kept = {"options": asked, "waits_before": before, "fingerprint": fingerprint}
                return Claim(*which, payload, origin, waits=bool(waits), **kept)
            case ["verify", now, in_doubt, fence, attempt, payload]:
                return NeedsLookup(
                    Claim(call.agent, call.key, call.id, in_doubt, fence, attempt, now, known.epoch, payload)
                )
        return _without_claim(answer)

    # The attempt is under way

    def renew(self, claim: Claim, limits: CallLimits) -> bool:
        """Prolong the claim, and the probe if it is one; return False if it is not held any more."""
        answer = _renew(
            self.redis,
            {**Keys(claim.agent).of(claim.key), "breaker": limits.breaker},
            key=claim.key,
            owner=claim.owner,
            fence=claim.fence,
            lease_ms=limits.lease_ms,
        )
        return bool(answer[0] == "renewed")

    def begin_effect(
        self, call: Call, claim: Claim, limits: CallLimits, payload: str, history: Sequence[str]
    ) -> list[Any]:
        """Write the intent down, then let Redis mark the key as sent, if the claim is still good.

        The intent is on the disk before Redis is asked: the other way round, a loss of Redis in between would leave an
        effect without a trace.

        Args:
            call: The call.
            claim: The attempt.
            limits: What its task's policy says.
            payload: What is about to be sent, as JSON text.
            history: Events for the history of the key, as JSON texts.

        Returns:
            ["sending", payload], ["lost", state of the key], ["paused", pause as JSON text] or ["closed"].

        Raises:
            JournalUnavailable: The intent could not be written; nothing was sent.

        """
        if claim.epoch:
            events.intent(self.journal, call, claim, payload, limits.verify)
            here = self.journal.known(claim.agent)
            if here is None or here.incomplete or here.epoch != claim.epoch:
                events.not_sent(self.journal, claim, "another epoch began")
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
                verify=limits.verify,
                events=history,
            )
        finally:
            if answer[0] != "sending" and claim.epoch:
                events.not_sent(self.journal, claim, str(answer[0]) or "Redis gave no answer")
        return answer

    def fact(self, agent: str, path: tuple[str, ...], patience: float) -> Any:
        """Return the agent's fact at `path`, or None; wait `patience` seconds for a Redis that is away."""
        return retry_while_unavailable(partial(facts.read, agent, path), patience)

    def checkpoint(self, claim: Claim, name: str, text: str, patience: float) -> str | None:
        """Return what an attempt of this key saved under a name.

        Args:
            claim: The attempt that asks.
            name: The name.
            text: A digest of the payload that it belongs to; what was saved before there was one is found too.
            patience: Seconds to wait for a Redis that is away.

        """
        return retry_while_unavailable(partial(self._checkpoint, claim, name, text), patience)

    def save_checkpoint(self, claim: Claim, name: str, value: str, text: str, patience: float) -> bool:
        """Save a value for every later attempt of the key: on the disk first, then in Redis.

        Args:
            claim: The attempt that saves it.
            name: The name.
            value: The value.
            text: A digest of the payload that it belongs to; empty before there is one.
            patience: Seconds to wait for a Redis that is away.

        Returns:
            False if the claim is lost.

        Raises:
            JournalUnavailable: It could not be written.

        """
        if claim.epoch:
            events.point(self.journal, claim, name, value, text)
        return retry_while_unavailable(partial(self._save_checkpoint, claim, name, value, text), patience)

    def _checkpoint(self, claim: Claim, name: str, text: str = "") -> str | None:
        names = list(dict.fromkeys([point_name(name, text), name]))
        found = self.redis.hmget(Keys(claim.agent).key(claim.key), [f"point:{one}" for one in names])
        value = next((one for one in found if one is not None), None)
        if value is None and claim.payload:  # an earlier attempt was here, and may have died before Redis knew
            points = project(self.journal.files(), key=claim.key).points.get((claim.agent, claim.key), {})
            value = next((points[one] for one in names if one in points), None)
        return None if value is None else str(value)

    def _save_checkpoint(self, claim: Claim, name: str, value: str, text: str = "") -> bool:
        answer = _checkpoint(
            self.redis,
            Keys(claim.agent).of(claim.key),
            owner=claim.owner,
            fence=claim.fence,
            name=point_name(name, text),
            value=value,
        )
        return bool(answer[0] == "kept")

    # The attempt ends

    def settle(self, call: Call, claim: Claim, limits: CallLimits, result: AttemptResult) -> str | None:
        """Record the end of an attempt.

        The outcome of an effect is in the journal before Redis knows it. The end of a call without an effect comes after:
        Redis may be compared with the journal meanwhile, and would learn of an end that never came.

        Returns:
            The state of the key if the claim was lost, else None.

        Raises:
            RedisAway: Redis was away for longer than PATIENCE.

        """
        if result.effect_began and claim.epoch:
            events.outcome(self.journal, claim, result)
        lost = retry_while_unavailable(partial(self._settle_once, call, claim, limits, result), PATIENCE)
        if call.effect and lost is None and result.retry_ms is None and not result.effect_began:
            if result.outcome != "done":
                self._journal_end(call, "rejected", result.error or str(result.receipt.get("error", "")))
            elif not options.from_json(claim.options).has_followers:
                # A done call that others follow stays open in the journal: after a loss it is run again.
                self._journal_end(call, "done")
        return lost

    def _settle_once(self, call: Call, claim: Claim, limits: CallLimits, result: AttemptResult) -> str | None:
        """Ask Redis once; return the state of the key if the claim was lost."""
        n = Keys(claim.agent)
        collections = list(dict.fromkeys(change.collection for change in result.facts if change.collection))
        lists = {"caps_and_collections": (*limits.caps, *map(n.collection, collections))}
        rows = facts.rows(result.facts, collections) if result.facts else []
        now = owners.boot_clock()
        answer = _settle(
            self.redis,
            {**n.of(claim.key, claim.call), "breaker": limits.breaker, **lists},
            key=claim.key,
            call=claim.call,
            owner=claim.owner,
            fence=claim.fence,
            boot=now.boot,
            boot_ms=now.ms,
            outcome=result.outcome,
            result=result.result,
            flaw=result.flaw,
            error=result.listed_error(call, claim),
            retry_ms="" if result.retry_ms is None else result.retry_ms,
            effect_happened=int(result.effect_happened),
            policy=limits.policy,
            facts=json.dumps(rows) if rows else "",
            counters=json.dumps(dict(result.counters)),
            summary=result.summary(call, claim),
            answer=result.answer,
            payload=result.payload,
            verify=limits.verify,
            waits=int(result.waits),
            look_ms=result.look_ms,
            events=result.events,
        )
        return str(answer[2]) if answer[0] == "lost" else None

    def _journal_end(self, call: Call, state: str, why: str = "") -> None:
        if call.effect:
            events.ended(self.journal, call.agent, call.key, call.id, state, why)

    def reconcile(
        self,
        claim: Claim,
        *,
        absent: bool,
        dead: bool,
        began: Moment,
        history: Sequence[str],
        away_ms: int | None = None,
    ) -> list[Any]:
        """Note a look-up that did not find the effect of an attempt in doubt.

        Args:
            claim: The attempt.
            absent: The provider answered, and does not have the effect.
            dead: The attempt's owner was proven dead before the look-up began.
            began: When the look-up began.
            history: Events for the history of the key, as JSON texts.
            away_ms: How many ms a provider that is away asks to be left alone; None if it did not ask.

        Returns:
            ["unknown", ms until the next look-up], ["waiting"] (proven absent: it is sent again), ["held", why], or
            ["kept", state] if the key was decided meanwhile.

        """
        answer = retry_while_unavailable(
            lambda: _reconcile(
                self.redis,
                Keys(claim.agent).of(claim.key, claim.call),
                key=claim.key,
                call=claim.call,
                owner=claim.owner,
                fence=claim.fence,
                answer="absent" if absent else "failed" if away_ms is None else "away",
                owner_is_dead=int(dead),
                boot=began.boot,
                boot_ms=began.ms,
                max_lookups=MAX_LOOKS,
                max_resends=MAX_PROOFS,
                away_ms=away_ms or 0,
                events=history,
            ),
            PATIENCE,
        )
        if answer[0] == "waiting":
            events.absent(self.journal, claim)
        elif answer[0] == "held":
            events.held(self.journal, claim.agent, claim.key, claim.call, claim.fence, str(answer[1]))
        return answer


def _of_call(call: Call) -> dict[str, str]:
    """Return the arguments of scripts that say what a call is."""
    return {
        "call": call.id,
        "task": call.task,
        "key": call.key,
        "kwargs": call.kwargs,
        "fingerprint": call.fingerprint,
        "origin": call.origin,
    }


def _other_content(call: Call, what: str, task: str, kwargs: str, *, options_only: bool = False) -> ContentMismatch:
    return ContentMismatch(
        f"the id {call.id} belongs to another call already; this one differs in {what}. "
        f"Nothing was started: give it an id of its own; see: celery -A workers gate explain {call.id}",
        task,
        kwargs,
        options_only=options_only,
    )


def _without_claim(answer: list[Any]) -> Decision:
    """Return the decision about a call that may not run now."""
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
    """Return the decision about a message that is not the current one of its call."""
    match answer:
        case ["unregistered", _]:
            return Unregistered()
        case ["differs", _, task, kwargs]:
            return ArgumentsDiffer(task, kwargs)
        case ["early", now, due]:
            return NotDue(due, now)
    raise AssertionError(f"admit.lua answered {answer!r}")
