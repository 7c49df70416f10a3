"""The ledger: the only door to both stores."""

from state.ledger.ledger import Ledger
from state.recovery.epoch import LedgerStatus
from state.recovery.rebuild import Progress
from state.recovery.recover import RecoveryReport, Unrecoverable
from state.recovery.restore import RestoreError

__all__ = ["Ledger", "LedgerStatus", "Progress", "RecoveryReport", "RestoreError", "Unrecoverable"]
