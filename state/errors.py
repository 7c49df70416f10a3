"""The errors of the stores, for every module outside `state/`."""

from __future__ import annotations

from state.redis.away import RedisAway, lineage
from state.redis.client import StoreError

__all__ = ["JournalUnavailable", "RedisAway", "StoreError", "lineage"]


class JournalUnavailable(OSError):
    """Raised when a record cannot be written to the disk; an effect that needs the record must not happen."""
