"""The errors of the stores, for every module outside `state/`."""

from __future__ import annotations

from state.redis.away import RedisAway, UnusableRedis, lineage
from state.redis.client import StoreError
from state.redis_format import NewerRedisFormat

__all__ = [
    "JournalUnavailable",
    "NewerFormat",
    "NewerRedisFormat",
    "RedisAway",
    "StoreError",
    "UnusableRedis",
    "lineage",
]


class JournalUnavailable(OSError):
    """Raised when a record cannot be written to the disk; an effect that needs the record must not happen."""


class NewerFormat(JournalUnavailable):
    """Raised for a record that a newer version of Gatehouse wrote: what it says must not be guessed."""

    def __init__(self, version: int, newest: int, file: str = "the journal") -> None:
        super().__init__(
            f"{file} has records of format {version}, and this version of Gatehouse reads up to format {newest}; "
            "effects are closed: start the version that wrote them, or a newer one"
        )
        self.version, self.newest = version, newest

    def in_file(self, name: str) -> NewerFormat:
        """Return the same error with the file's name."""
        return NewerFormat(self.version, self.newest, name)
