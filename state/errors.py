"""What goes wrong with the stores, as everybody outside `state/` knows it."""

from __future__ import annotations

from state.redis.away import RedisAway, lineage
from state.redis.client import StoreError

__all__ = ["JournalUnavailable", "RedisAway", "StoreError", "lineage"]


class JournalUnavailable(OSError):
    """Raised when a record cannot be brought to the disk. No effect may happen that would need it."""
