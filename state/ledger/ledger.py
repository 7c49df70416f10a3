"""The ledger: the only way to both stores. A caller cannot write to one of them and leave the other out.

Records of effects are in the journal before Redis knows them. A person's decision, and the end of a call without an
effect, are in Redis first, for reasons that stand there.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from state.errors import JournalUnavailable
from state.ledger import clock, followers, owner, resolve, revoke, sweep
from state.ledger.admission import Admission
from state.ledger.followers import Ended
from state.ledger.registrar import Registrar
from state.ledger.resolve import Resolution
from state.ledger.revoke import Revoked
from state.ledger.sweep import DueCall, Pending
from state.model import Call
from state.recovery import epoch, recover
from state.recovery.epoch import LedgerStatus
from state.recovery.rebuild import CapsOf, Progress
from state.recovery.recover import RecoveryReport


class Ledger(Registrar, Admission):
    """The record of which process may run which key, and of how each attempt ended.

    `Registrar` has the calls that were asked for, `Admission` and `Attempts` the way of one attempt. Here is what a sweeper does, what a
    person decides, and what follows a loss of Redis.
    """

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
        return sweep.reclaim_lost(self, agent)

    def mend_clock(self, agent: str, longest_lease_ms: int) -> int:
        """Bring back the agent's times if the clock of Redis was set back; return by how many ms it was."""
        return clock.mend(self.redis, agent, longest_lease_ms)

    def remove_stale_locks(self, agents: Sequence[str]) -> None:
        """Remove the lock files of dead processes that no claim and no key in doubt names."""
        owner.remove_stale_locks(sweep.owners(self.redis, agents))

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

    def refuse_follower(self, call: Call, receipt: dict[str, Any], keep_ms: int) -> bool:
        """Record a follower that cannot be called, under the id that it would have had; False if that id is known."""
        return followers.refuse(self, call, receipt, keep_ms)

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
