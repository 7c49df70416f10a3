"""The upkeep of the ledger: the work of sweepers, the decisions of persons, and recovery from a loss of Redis."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any

from redis import Redis

from state import forbidden
from state.errors import JournalUnavailable
from state.journal import journal
from state.journal.journal import Journal
from state.ledger import clock, followers, owner, resolve, revoke, sweep
from state.ledger.followers import Ended
from state.ledger.resolve import Resolution
from state.ledger.revoke import Revoked
from state.ledger.sweep import DueCall, Pending
from state.recovery import epoch, recover
from state.recovery.epoch import LedgerStatus
from state.recovery.rebuild import CapsOf, Progress
from state.recovery.recover import RecoveryReport
from state.redis import client
from state.redis.keys import Keys


class Upkeep:
    """The two stores behind the ledger, and what is done to them outside the way of a call; see `Ledger` for that.

    Args:
        redis: The connection; without one, that of this process.
        book: The journal; without one, that of this process in STATE_DIR.

    """

    def __init__(self, redis: Redis | None = None, book: Journal | None = None) -> None:
        self.redis = redis or client.client()
        self._book = book

    @cached_property
    def journal(self) -> Journal:
        return self._book or journal.current()

    # What others ask

    def agent_of(self, call: str, agents: Sequence[str]) -> str | None:
        """Return the first of these agents that has a call of this id, or None."""
        with self.redis.pipeline(transaction=False) as pipe:
            for agent in agents:
                pipe.hexists(Keys(agent).call(call), "task")  # an id that was revoked before it was known has none
            return next((agent for agent, found in zip(agents, pipe.execute(), strict=True) if found), None)

    def key_state(self, agent: str, key: str) -> str | None:
        """Return the state of a key, or None if it was never asked for."""
        state = self.redis.hget(Keys(agent).key(key), "state")
        return None if state is None else str(state)

    def is_forbidden(self, agent: str, call: str) -> bool:
        """Return whether this id was revoked before a call was registered under it."""
        return forbidden.is_forbidden(self.redis, agent, call)

    # What a sweeper does

    def statuses(self, agents: Sequence[str]) -> dict[str, LedgerStatus]:
        """Return how the ledger of each agent stands to the journal, in one round trip. Raises JournalUnavailable."""
        return epoch.ledger_statuses(self.redis, self.journal, agents)

    def checked_statuses(self, agents: Sequence[str]) -> dict[str, LedgerStatus]:
        """Return the statuses once a record could be written, and no other process compares or recovers.

        Raises JournalUnavailable.
        """
        self.journal.append("probe", {}, sync=True)
        with self.journal.exclusive():
            return self.statuses(agents)

    def pending(self, agents: Sequence[str]) -> dict[str, Pending]:
        """Return what each agent has for a sweep to do, in one round trip."""
        return sweep.pending(self.redis, agents)

    def due(
        self,
        agent: str,
        knows: Container[str],
        queue_is_empty: Callable[[str], bool],
        arrived_ms: Mapping[str, int] = MappingProxyType({}),
    ) -> Iterator[DueCall]:
        """Yield the calls of an agent whose message must be sent now; see `sweep.due`."""
        return sweep.due(self.redis, agent, knows, queue_is_empty, arrived_ms)

    def reclaim_lost(self, agent: str) -> dict[str, str]:
        """Take the claims of dead owners and of ended leases; return the state of each key that was taken."""
        return sweep.reclaim_lost(self.redis, self.journal, agent)

    def mend_clock(self, agent: str, longest_lease_ms: int) -> int:
        """Bring back the agent's times if the clock of Redis was set back; return by how many ms it was."""
        return clock.mend(self.redis, agent, longest_lease_ms)

    def remove_stale_locks(self, agents: Sequence[str]) -> None:
        """Remove the lock files of dead processes that no claim and no key in doubt names."""
        owner.remove_stale_locks(sweep.named_owners(self.redis, agents))

    def resync(self, agent: str) -> str | None:
        """Compare a Redis that was started anew with the journal, and let effects happen again if nothing is missing.

        Returns:
            Why effects stay closed; None if they may happen.

        """
        try:
            is_open = recover.resync(self.redis, self.journal, agent)
        except JournalUnavailable as error:
            return str(error)
        return None if is_open else "Redis was started anew and could not be checked"

    def take_over(self, agent: str) -> str | None:
        """Let a journal that begins anew take over what Redis knows, before the next effect, which may be months away.

        Returns:
            Why the journal could not; None if it could.

        """
        try:
            epoch.known(self.redis, self.journal, agent)
        except JournalUnavailable as error:
            return str(error)
        return None

    # What follows a call

    def ended(self, agent: str) -> Iterator[Ended]:
        """Yield the calls of an agent that have ended and whose followers are to be started."""
        return followers.ended(self.redis, agent)

    def postpone_followers(self, of: Ended, ms: int) -> None:
        """Look again after `ms` milliseconds: the followers cannot be started now."""
        followers.postpone(self.redis, of, ms)

    def let_go(self, of: Ended, effects: Sequence[str]) -> None:
        """Note that the followers are registered, or refused. `effects` are the tasks of which there is a journal."""
        followers.let_go(self.redis, self.journal, of, effects)

    # What a person decides

    def held(self, agent: str) -> list[dict[str, Any]]:
        """Return every key of the agent that waits for a person or for a look-up, oldest first."""
        return resolve.held(self.redis, agent)

    def dead(self, agent: str) -> list[dict[str, Any]]:
        """Return the calls of the agent that ended without a result because their attempts failed, newest first."""
        return resolve.dead(self.redis, agent)

    def resolve(self, agent: str, key: str, resolution: Resolution) -> str:
        """End a key's doubt as a person says; return its state. Raises NotResolved or JournalUnavailable."""
        return resolve.resolve(self.redis, self.journal, agent, key, resolution)

    def replay(self, agent: str, call: str, by: str, effects: Container[str]) -> bool:
        """Run a call again that ended without a result.

        Args:
            agent: Whose call it may be.
            call: Its id.
            by: Who says so.
            effects: The tasks that have an effect.

        Returns:
            False if this agent has no such call.

        Raises:
            NotResolved: The call is not over, or it has a result.
            JournalUnavailable: The word could not be written down.

        """
        return resolve.replay(self.redis, self.journal, agent, call, by, effects)

    def revoke(
        self, *, agents: Sequence[str], calls: Iterable[str], by: str, keep_ms: int, safe: Container[str] = ()
    ) -> list[Revoked]:
        """Cancel every call of these that has not begun; see `revoke.revoke`. Raises JournalUnavailable."""
        return revoke.revoke(self.redis, self.journal, agents=agents, calls=calls, by=by, keep_ms=keep_ms, safe=safe)

    # What follows a loss of Redis

    def recover(self, caps_of: CapsOf, progress: Progress, *, skip_damaged: bool = False) -> RecoveryReport:
        """Rebuild Redis from the journal. Raises Unrecoverable, JournalUnavailable or RestoreError."""
        return recover.recover(self.redis, self.journal, caps_of, progress, skip_damaged=skip_damaged)

    def journal_size(self) -> int:
        """Return the bytes that a recovery has to read."""
        return sum(path.stat().st_size for path in self.journal.files())
