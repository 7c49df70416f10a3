"""The way of one attempt from its claim to its end, and what becomes of claims whose owner is lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from state import options
from state.agents import facts
from state.journal import events as evidence
from state.ledger import arguments, reconcile
from state.ledger import owner as owners
from state.ledger.checkpoints import Checkpoints
from state.ledger.owner import Moment
from state.model import AttemptResult, Call, CallLimits, Claim
from state.recovery import rebuild
from state.redis.client import retry_while_unavailable
from state.redis.keys import Keys
from state.redis.script import Script

#: A call that took this many workers down with it is poison.
POISON_AFTER = 3
#: Seconds. An attempt waits this long for Redis to come back where giving up would cost more: longer than a restart takes.
PATIENCE = 60.0

_begin_effect = Script("begin_effect")
_settle = Script("settle")
_renew = Script("renew")
_reclaim = Script("reclaim")


class Attempts(Checkpoints):
    """The part of the ledger that follows an attempt from its claim to its end."""

    def begin_effect(
        self, call: Call, claim: Claim, limits: CallLimits, payload: str, events: Sequence[str]
    ) -> list[Any]:
        """Write the intent down, then let Redis mark the key as sent, if the claim is still good.

        The intent is on the disk before Redis is asked: the other way round, a loss of Redis in between would leave an
        effect without a trace.

        Args:
            call: The call.
            claim: The attempt.
            limits: What its task's policy says.
            payload: What is about to be sent, as JSON text.
            events: For the history of the key, as JSON texts.

        Returns:
            ["sending", payload], ["lost", state of the key], ["paused", pause as JSON text] or ["closed"].

        Raises:
            JournalUnavailable: The intent could not be written; nothing was sent.

        """
        if claim.epoch:
            evidence.intent(self.journal, call, claim, payload, limits.verify)
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
                verify=limits.verify,
                events=events,
            )
        finally:
            if answer[0] != "sending" and claim.epoch:
                evidence.not_sent(self.journal, claim, str(answer[0]) or "Redis gave no answer")
        return answer

    def settle(self, call: Call, claim: Claim, limits: CallLimits, result: AttemptResult) -> str | None:
        """Record the end of an attempt.

        The outcome of an effect is in the journal before Redis knows it. The end of a call without an effect comes after:
        Redis may be compared with the journal meanwhile, and would learn of an end that never came.

        Returns:
            The state of the key if the claim was lost, else None.

        Raises:
            RedisAway: Redis was away for longer than PATIENCE.

        """
        if result.effect_began:
            self._write_outcome(claim, result)
        lost = retry_while_unavailable(lambda: self._settle_once(call, claim, limits, result), PATIENCE)
        if call.effect and lost is None and result.retry_ms is None and not result.effect_began:
            self._note_result(call, claim, result)
        return lost

    def reconcile(
        self,
        claim: Claim,
        *,
        absent: bool,
        dead: bool,
        began: Moment,
        events: Sequence[str],
        away_ms: int | None = None,
    ) -> list[Any]:
        """Note a look-up that did not find the effect of an attempt in doubt; see `reconcile.record`."""
        return retry_while_unavailable(
            lambda: reconcile.record(
                self.redis,
                self.journal,
                claim,
                absent=absent,
                dead=dead,
                began=began,
                events=events,
                away_ms=away_ms,
            ),
            PATIENCE,
        )

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

    def reclaim(self, agent: str, key: str, call: str, owner: str, fence: int, *, dead: bool) -> str:
        """Take a claim from a lost owner; return the state of the key then, or "kept".

        An outcome that the owner still wrote into the journal decides.
        """
        n = Keys(agent)
        if self.redis.hget(n.key(key), "state") == "sending":
            state = rebuild.settle_from_journal(self.redis, self.journal, agent, key, fence)
            if state:
                return state
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

    def _write_outcome(self, claim: Claim, result: AttemptResult) -> None:
        """Journal the outcome of an attempt whose effect began."""
        if claim.epoch:
            evidence.outcome(self.journal, claim, result)

    def _settle_once(self, call: Call, claim: Claim, limits: CallLimits, result: AttemptResult) -> str | None:
        """Ask Redis once; return the state of the key if the claim was lost."""
        n = Keys(claim.agent)
        collections = list(dict.fromkeys(change.collection for change in result.facts if change.collection))
        lists = {"caps_and_collections": (*limits.caps, *map(n.collection, collections))}
        rows = facts.rows(result.facts, collections) if result.facts else []
        answer = _settle(
            self.redis,
            {**n.of(claim.key, claim.call), "breaker": limits.breaker, **lists},
            **arguments.of_claim(claim),
            **arguments.now(),
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

    def _note_result(self, call: Call, claim: Claim, result: AttemptResult) -> None:
        """Journal the end of a call without an effect.

        A done call that others follow stays open in the journal: after a loss it is run again, and they are started.
        """
        if result.outcome != "done":
            self._journal_end(call, "rejected", result.error or str(result.receipt.get("error", "")))
        elif not options.from_json(claim.options).has_followers:
            self._journal_end(call, "done")

    def _journal_end(self, call: Call, state: str, why: str = "") -> None:
        if call.effect:
            evidence.ended(self.journal, call.agent, call.key, call.id, state, why)
