"""The ledger: every step of a call, and everything that persons, sweepers and recoveries do to calls, in both stores."""

from __future__ import annotations

from state.ledger.admission import Admission
from state.ledger.approvals import Approvals
from state.ledger.attempt import Attempts
from state.ledger.budgets import Budgets
from state.ledger.clock import Clock
from state.ledger.followers import Followers
from state.ledger.host_claims import HostClaims
from state.ledger.journal_word import JournalReading
from state.ledger.pauses import Pauses
from state.ledger.registration import Registration
from state.ledger.resolve import Decisions
from state.ledger.revoke import Revokes


class Ledger(
    Registration,
    Admission,
    Attempts,
    Budgets,
    Clock,
    Followers,
    HostClaims,
    Decisions,
    Revokes,
    Pauses,
    Approvals,
    JournalReading,
):
    """The record of which process may run which key, and of how each attempt ended.

    No caller can write to one store and leave the other out. Records of effects are in the journal before Redis knows
    them; the end of a call without an effect is in Redis first, for the reason that `settle` gives.
    """
