"""A sweep: calls whose time has come or whose message is lost, and claims whose owner is gone."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import structlog

from state import hints, options
from state.journal import events
from state.ledger import owner as owners
from state.ledger import pending
from state.ledger.pending import Pending
from state.ledger.stores import Stores
from state.model import Claim
from state.recovery import rebuild
from state.redis.client import hash_fields, now_ms
from state.redis.keys import Keys
from state.redis.script import Script

#: A call that never started this long after its message was sent may have lost it.
GRACE_MS = 10_000
#: The longest pause between two sends of the same lost call.
MAX_GRACE_MS = 600_000
#: A call that took this many workers down with it is poison.
POISON_AFTER = 3
#: Calls looked at per agent in one sweep; the rest waits for the next, half a second later.
BATCH_SIZE = 200

#: What to do about calls of a task that was renamed or removed while they waited.
NO_TASK = (
    f"run the code that has it, or end it; {hints.gatehouse('explain', 'CALL')} names its KEY: "
    f"{hints.gatehouse('resolve', 'KEY', '--cancel', '--why', '…')}"
)

log = structlog.get_logger("gatehouse.sweeper")

_resend = Script("resend")
_reclaim = Script("reclaim")


@dataclass(frozen=True)
class DueCall:
    """A call whose message must be sent now."""

    call: str
    task: str
    kwargs: str
    options: str = ""


class Sweep(Stores):
    """The work of a sweeper on the calls and claims of one agent."""

    def pending(self, agents: Sequence[str]) -> dict[str, Pending]:
        """Return what each agent has for a sweep to do, by agent, as `pending.of_agents` does."""
        return pending.of_agents(self.redis, agents)

    def due(
        self,
        agent: str,
        knows: Container[str],
        queue_is_empty: Callable[[str], bool],
        arrived_ms: Mapping[str, int] = MappingProxyType({}),
    ) -> Iterator[DueCall]:
        """Yield the calls to send: those whose time has come, and those whose message is lost.

        A message is lost if it is not taken although nothing waits in its queue (`queue_is_empty`, asked by name), or although
        messages of its lane that were sent later arrived (`arrived_ms`: when the newest of each lane was sent). So a backlog
        is not multiplied. One of a task that is not among those that this code `knows` is left to a worker that knows it.
        """
        n = Keys(agent)
        now = now_ms(self.redis)
        ids = self.redis.zrange(n.waiting, 0, now, byscore=True, offset=0, num=BATCH_SIZE)
        silent = self.redis.zrange(n.queued, 0, now, byscore=True, offset=0, num=BATCH_SIZE)
        if silent:
            ids += self._lost(n, silent, arrived_ms, now, queue_is_empty)
        for call in self._known(n, list(dict.fromkeys(ids)), knows, now):
            match _resend(self.redis, n.of(call=call), call=call, grace_ms=GRACE_MS, max_grace_ms=MAX_GRACE_MS):
                case ["send", task, kwargs, asked]:
                    yield DueCall(call, task, kwargs, asked)

    def _known(self, n: Keys, calls: list[str], knows: Container[str], now: int) -> list[str]:
        """Return the calls whose task is known here; log the others, and look at them again after a while."""
        tasks = zip(calls, hash_fields(self.redis, map(n.call, calls), "task"), strict=True)
        strange = {call: str(task) for call, [task] in tasks if task is not None and task not in knows}
        for call, task in strange.items():
            log.error("no such task", agent=n.agent, task=task, call=call, hint=NO_TASK)
            for later in (n.waiting, n.queued):
                self.redis.zadd(later, {call: now + GRACE_MS}, xx=True)
        return [call for call in calls if call not in strange]

    def _lost(
        self,
        n: Keys,
        calls: list[str],
        arrived_ms: Mapping[str, int],
        now: int,
        queue_is_empty: Callable[[str], bool],
    ) -> list[str]:
        """Return the calls whose message is lost; look at the others again after a while."""
        found = zip(calls, hash_fields(self.redis, map(n.call, calls), "sent_ms", "lane"), strict=True)
        sent = {call: (int(at or now), lane or "") for call, (at, lane) in found}
        empty = {queue: queue_is_empty(queue) for queue in {options.queue_of(lane) for _, lane in sent.values()}}

        def is_lost(call: str) -> bool:
            at, lane = sent[call]
            return empty[options.queue_of(lane)] or at + GRACE_MS < arrived_ms.get(lane, 0)

        lost = [call for call in calls if is_lost(call)]
        if waiting := {call: now + GRACE_MS for call in calls if call not in lost}:
            self.redis.zadd(n.queued, waiting, xx=True)
        return lost

    def reclaim_lost(self, agent: str) -> dict[str, str]:
        """Take the claims of dead owners and of ended leases; return the new state by key."""
        n = Keys(agent)
        now = now_ms(self.redis)
        running = self.redis.zrange(n.running, 0, BATCH_SIZE - 1, withscores=True)
        claims = hash_fields(self.redis, [n.key(key) for key, _ in running], "owner", "fence", "call")
        taken = {}
        for (key, lease_ms), (holder, fence, call) in zip(running, claims, strict=True):
            if holder is None or fence is None or call is None:
                self.redis.zrem(n.running, key)
                continue
            dead = owners.is_dead(holder)
            if dead or lease_ms <= now:
                taken[key] = self.reclaim(Claim(agent, key, call, holder, int(fence)), dead=dead)
        return {key: stands for key, stands in taken.items() if stands != "kept"}

    def reclaim(self, lost: Claim, *, dead: bool) -> str:
        """Take a claim from a lost owner; return the state of the key then, or "kept".

        An outcome that the owner still wrote into the journal decides.
        """
        name = Keys(lost.agent).key(lost.key)
        if self.redis.hget(name, "state") == "sending":
            state = rebuild.settle_from_journal(self.redis, self.journal, lost.agent, lost.key, lost.fence)
            if state:
                return state
        was_asked_to_end = owners.was_leaving(lost.owner) or owners.was_abandoned(lost.owner)
        now = owners.boot_clock()
        answer = _reclaim(
            self.redis,
            {**Keys(lost.agent).of(lost.key, lost.call), "caps": json.loads(self.redis.hget(name, "caps") or "[]")},
            boot=now.boot,
            boot_ms=now.ms,
            **lost.script_arguments(),
            owner_is_dead=int(dead),
            poison_after=0 if was_asked_to_end else POISON_AFTER,
        )
        if answer[0] == "held" and answer[2] == "1":
            events.held(self.journal, lost.agent, lost.key, lost.call, lost.fence, str(answer[1]))
        return str(answer[0])

    def remove_stale_locks(self, agents: Sequence[str]) -> None:
        """Remove the lock files of dead processes that no running claim and no key in doubt names."""
        keys = [
            n.key(key)
            for n in map(Keys, agents)
            for key in (*self.redis.zrange(n.running, 0, -1), *self.redis.hkeys(n.held))
        ]
        owners.remove_stale_locks({owner or "" for [owner] in hash_fields(self.redis, keys, "owner")})
