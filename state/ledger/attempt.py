"""The attempt that holds a claim: its lease, its effect, its checkpoints, and its end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from state import options
from state.agents import autonomy, facts, past
from state.journal import events
from state.journal.projector import project
from state.journal.transitions import point_name
from state.ledger import owner as owners
from state.ledger.owner import Moment
from state.ledger.stores import Stores
from state.model import AttemptResult, Call, CallLimits, Claim
from state.redis.client import retry_while_unavailable
from state.redis.keys import Keys
from state.redis.script import Script

#: Seconds. An attempt waits this long for Redis to come back where giving up would cost more: longer than a restart takes.
PATIENCE = 60.0
#: Look-ups without a proof, either way, after which a person is asked.
MAX_LOOKS = 20
#: How often one key may be sent again because it was proven absent: more often points to a fault.
MAX_PROOFS = 3

_begin_effect = Script("begin_effect")
_checkpoint = Script("checkpoint")
_renew = Script("renew")
_settle = Script("settle")
_reconcile = Script("reconcile")


class Attempts(Stores):
    """The steps of an attempt: each asks the ledger, or reports to it."""

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
            ["sending", payload], ["lost", state of the key], ["paused", pause as JSON text], ["closed"], or
            ["mode", "observe" | "ask"] of an agent that may not send this payload.

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
                mode=autonomy.default(claim.agent),
                brief=past.of_beginning(history, claim.admitted_ms),
                events=history,
            )
        finally:
            if answer[0] != "sending" and claim.epoch:
                events.not_sent(self.journal, claim, str(answer[0]) or "Redis gave no answer")
        return answer

    def fact(self, agent: str, path: tuple[str, ...], patience: float) -> Any:
        """Return the agent's fact at `path`, or None; wait `patience` seconds for a Redis that is away."""
        return retry_while_unavailable(partial(facts.read, agent, path), patience)

    def checkpoint(self, claim: Claim, name: str, text: str = "", patience: float = 0.0) -> str | None:
        """Return what an attempt of this key saved under a name.

        Args:
            claim: The attempt that asks.
            name: The name.
            text: A digest of the payload that it belongs to; what was saved before there was one is found too.
            patience: Seconds to wait for a Redis that is away.

        """
        names = list(dict.fromkeys([point_name(name, text), name]))
        read = partial(self.redis.hmget, Keys(claim.agent).key(claim.key), [f"point:{one}" for one in names])
        value = next((one for one in retry_while_unavailable(read, patience) if one is not None), None)
        if value is None and claim.payload:  # an earlier attempt was here, and may have died before Redis knew
            points = project(self.journal.files(), key=claim.key).points.get((claim.agent, claim.key), {})
            value = next((points[one] for one in names if one in points), None)
        return None if value is None else str(value)

    def save_checkpoint(self, claim: Claim, name: str, value: str, text: str = "", patience: float = 0.0) -> bool:
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
        which: dict[str, Any] = {"owner": claim.owner, "fence": claim.fence, "name": point_name(name, text)}
        save = partial(_checkpoint, self.redis, Keys(claim.agent).of(claim.key), **which, value=value)
        return bool(retry_while_unavailable(save, patience)[0] == "kept")

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
        is_over = result.retry_ms is None and result.outcome != "asked"
        if call.effect and lost is None and is_over and not result.effect_began:
            if result.outcome != "done":
                events.ended(self.journal, call, "rejected", result.error or str(result.receipt.get("error", "")))
            elif not options.from_json(claim.options).has_followers:
                # A done call that others follow stays open in the journal: after a loss it is run again.
                events.ended(self.journal, call, "done")
        return lost

    def _settle_once(self, call: Call, claim: Claim, limits: CallLimits, result: AttemptResult) -> str | None:
        """Ask Redis once; return the state of the key if the claim was lost."""
        n = Keys(claim.agent)
        collections = list(dict.fromkeys(change.collection for change in result.facts if change.collection))
        others = limits.rates if result.outcome == "asked" else map(n.collection, collections)
        lists = {"caps_and_collections": (*limits.caps, *others)}
        rows = facts.rows(result.facts, collections) if result.facts else []
        now = owners.boot_clock()
        answer = _settle(
            self.redis,
            {**n.of(claim.key, claim.call), "breaker": limits.breaker, **lists},
            **claim.script_arguments(),
            boot=now.boot,
            boot_ms=now.ms,
            **limits.script_arguments(),
            verify=limits.verify,
            facts=json.dumps(rows) if rows else "",
            brief=past.of_end(result.events, claim.admitted_ms) if result.outcome == "done" else "",
            **result.script_arguments(call, claim),
        )
        return str(answer[2]) if answer[0] == "lost" else None

    def reconcile(
        self,
        claim: Claim,
        *,
        absent: bool,
        dead: bool,
        knew_death: bool,
        began: Moment,
        history: Sequence[str],
        away_ms: int | None = None,
    ) -> list[Any]:
        """Note a look-up that did not find the effect of an attempt in doubt.

        Args:
            claim: The attempt.
            absent: The provider answered, and does not have the effect.
            dead: The attempt's owner was proven dead before the look-up began.
            knew_death: Redis knew before the look-up began that the owner can send nothing any more.
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
                **claim.script_arguments(),
                answer="absent" if absent else "failed" if away_ms is None else "away",
                owner_is_dead=int(dead),
                knew_death=int(knew_death),
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
