"""The two stores behind the ledger: Redis, and the journal on this machine's disk."""

from __future__ import annotations

from functools import cached_property

from redis import Redis

from state.journal import opened
from state.journal.journal import Journal
from state.redis import client


class Stores:
    """The base of every part of the ledger.

    Args:
        redis: The connection; without one, that of this process.
        book: The journal; without one, that of this process in STATE_DIR.

    """

    def __init__(self, redis: Redis | None = None, book: Journal | None = None) -> None:
        self.redis = redis or client.client()
        self._book = book

    @cached_property
    def journal(self) -> Journal:
        return self._book or opened.current()
