"""The comparison of Redis with the journal, and the recovery from what Redis lost."""

from __future__ import annotations

from collections.abc import Sequence

from state import hints
from state.errors import JournalUnavailable
from state.journal.heads import JournalHead
from state.ledger.stores import Stores
from state.recovery import epoch, recover
from state.recovery.cap_counts import CapsOf
from state.recovery.epoch import LedgerStatus
from state.recovery.rebuild import Progress
from state.recovery.recover import RecoveryReport
from state.redis import client


class Soundness(Stores):
    """The comparison of the two stores, which decides whether effects may happen."""

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

    def known(self, agent: str) -> JournalHead:
        """Return the agent's head in the journal; a journal that begins anew takes over what Redis knows first.

        Raises JournalUnavailable.
        """
        here = self.journal.known(agent)
        return here if here and not here.incomplete else epoch.begin(self.redis, self.journal, agent)

    def take_over(self, agent: str) -> str | None:
        """Take over what Redis knows before the next effect, which may be months away; return why it is not possible."""
        try:
            self.known(agent)
        except JournalUnavailable as error:
            return str(error)
        return None

    def resync(self, agent: str) -> str | None:
        """Compare a Redis that was started anew with the journal, and let effects happen again if nothing is missing.

        Returns:
            Why effects stay closed; None if they may happen.

        """
        client.look_for_primary_again(self.redis)
        try:
            if recover.resync(self.redis, self.journal, agent):
                return None
            why = epoch.why_closed(self.redis, self.journal, agent)
        except JournalUnavailable as error:
            return str(error)
        return f"{why}; run {hints.gatehouse('recover')}" if why else "Redis was started anew once more"

    def recover(self, caps_of: CapsOf, progress: Progress, *, skip_damaged: bool = False) -> RecoveryReport:
        """Rebuild Redis from the journal. Raises Unrecoverable, JournalUnavailable or RestoreError."""
        return recover.recover(self.redis, self.journal, caps_of, progress, skip_damaged=skip_damaged)

    def journal_size(self) -> int:
        """Return the bytes that a recovery has to read."""
        return sum(path.stat().st_size for path in self.journal.files())
