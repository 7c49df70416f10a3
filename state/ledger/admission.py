"""The admission of a call: whether it may run now, and the claim of its key if so."""

from __future__ import annotations

from functools import partial
from typing import Any

from state.agents import autonomy
from state.decision import Decision, KeyInUse, NeedsResync, Refusal, Replay, of_answer
from state.errors import JournalUnavailable, RedisAway
from state.journal import events
from state.journal.heads import JournalHead
from state.ledger import owner as owners
from state.ledger.soundness import Soundness
from state.ledger.sweep import Sweep
from state.model import Call, CallLimits, Claim
from state.redis.keys import Keys
from state.redis.script import Script

#: For a task without an effect, of which no journal is kept.
NOTHING = JournalHead("", 0)

_admit = Script("admit")


class Admission(Sweep, Soundness):
    """Decisions about calls that want to run."""

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
        if call.effect and isinstance(decision, Replay):
            events.ended(self.journal, call, "done")
        elif call.effect and isinstance(decision, Refusal) and not (decision.again or decision.is_deferred):
            events.ended(self.journal, call, "rejected", decision.text)
        return decision

    def _admit_as(self, owner: str, call: Call, limits: CallLimits, **message: Any) -> Decision:
        """Ask in the name of this owner; where another one holds the key, look whether it lives, and ask again."""
        admit = partial(self._admit_once, call, owner, limits, **message, **self._soundness(call))
        decision = admit()
        if isinstance(decision, NeedsResync):
            why = self.resync(call.agent)
            decision = admit(**({"closed": why} if why else self._soundness(call)))
        if not isinstance(decision, KeyInUse):
            return decision
        dead = owners.is_dead(decision.owner)
        if dead or decision.lease_ms <= decision.now_ms:
            self.reclaim(Claim(call.agent, call.key, decision.call, decision.owner, decision.fence), dead=dead)
            return admit()
        return decision if decision.call == call.id else admit(alive=decision.owner)

    def _soundness(self, call: Call) -> dict[str, Any]:
        """Return what the journal knows of the agent's effects, which Redis must know too; nothing for a task without one."""
        if not call.effect:
            return {}
        try:
            self.journal.try_again()
            return {"known": self.known(call.agent)}
        except JournalUnavailable as error:
            return {"closed": str(error)}

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
        names = {"breaker": limits.breaker, "limits": (*limits.caps, *limits.rates, *limits.budgets)}
        policy = limits.script_arguments()
        ends_ms = owners.boot_clock().ms + limits.lease_ms
        answer = _admit(
            self.redis,
            {**Keys(call.agent).of(call.key, call.id), **names},
            **call.script_arguments(),
            owner=owner,
            lease_ms=limits.lease_ms,
            policy=policy["policy"],
            max_age_ms=policy["max_age_ms"],
            keep_ms=policy["keep_ms"],
            alive_owner=alive,
            epoch=known.epoch,
            fence=known.fence,
            closed_reason=closed,
            sent_kwargs=sent,
            accepts_unregistered="1" if checked else "",
            expires_ms="" if expires_ms is None else expires_ms,
            mode=autonomy.default(call.agent),
        )
        return of_answer(
            answer, Claim(call.agent, call.key, call.id, owner, 0, epoch=known.epoch, lease_ends_ms=ends_ms)
        )
