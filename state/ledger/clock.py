"""Times in Redis that lie too far ahead, because its clock was ahead for a while and then right again.

Rates, caps and breakers know how far ahead a time of theirs may lie, and correct it when they meet it. The times of
calls and of claims do not: they are mended when the clock is seen to go back. Each is only ever made earlier, which
costs at most a question too early; whether a call may run is decided anew when it comes.
"""

from __future__ import annotations

import structlog

from state.ledger.stores import Stores
from state.ledger.sweep import GRACE_MS
from state.redis.keys import Keys
from state.redis.script import Script

log = structlog.get_logger("gatehouse.sweeper")

#: A time service moves a clock by less in one step, and backlogs are not worth a look for it.
TOLERANCE_MS = 2_000

_clock = Script("clock")


class Clock(Stores):
    """Repair of the times that a wrong clock of Redis wrote."""

    def mend_clock(self, agent: str, longest_lease_ms: int) -> int:
        """Look at the clock, and bring back the agent's times if it was set back; return by how many ms it was."""
        n = Keys(agent)
        match _clock(self.redis, n.of(), tolerance_ms=TOLERANCE_MS):
            case ["set back", now, behind_ms]:
                self._mend_queued(n, int(now))
                self._mend_waiting(n, int(now))
                self._mend_running(n, int(now), longest_lease_ms)
                log.warning("clock of Redis was set back", agent=agent, seconds=int(behind_ms) / 1000)
                return int(behind_ms)
        return 0

    def _later(self, name: str, moment_ms: int) -> list[str]:
        return [str(member) for member in self.redis.zrange(name, moment_ms + 1, "+inf", byscore=True)]

    def _mend_queued(self, n: Keys, now: int) -> None:
        """Count the grace of a message as if it had been sent now."""
        for call in self._later(n.queued, now + GRACE_MS):
            if int(self.redis.hget(n.call(call), "sent_ms") or 0) > now:
                self.redis.hset(n.call(call), "sent_ms", now)
            self.redis.zadd(n.queued, {call: now + GRACE_MS}, xx=True, lt=True)

    def _mend_waiting(self, n: Keys, now: int) -> None:
        """Let a deferred call ask again now; a call with a delay of its own keeps the delay."""
        for call in self._later(n.waiting, now):
            at, delay, expires, answer, attempts = self.redis.hmget(
                n.call(call), "at_ms", "delay_ms", "expires_ms", "answer", "attempts"
            )
            due = now
            if at is not None and int(at) > now and answer is None and attempts is None:
                # Without a delay of its own it was registered before delays were kept, or rebuilt with its due time.
                due = int(at) if delay is None else min(int(at), now + int(delay))
                if due < int(at):
                    self.redis.hset(n.call(call), "at_ms", due)
                    if expires is not None:
                        self.redis.hset(n.call(call), "expires_ms", int(expires) - (int(at) - due))
            self.redis.zadd(n.waiting, {call: due}, xx=True, lt=True)

    def _mend_running(self, n: Keys, now: int, longest_lease_ms: int) -> None:
        """Shorten leases to what a renewal now would give; an owner that is alive renews its own."""
        for key in self._later(n.running, now + longest_lease_ms):
            ends = now + longest_lease_ms
            if int(self.redis.hget(n.key(key), "lease_ms") or 0) > ends:
                self.redis.hset(n.key(key), "lease_ms", ends)
            self.redis.zadd(n.running, {key: ends}, xx=True, lt=True)
