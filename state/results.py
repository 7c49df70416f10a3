"""The results of calls for Celery, where REDIS_URL names a cluster, which Celery's own backend cannot use."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from state.redis import client


def read(name: str | bytes) -> str | None:
    """Return what is stored under this name; None if nothing is. Raises StoreError."""
    found: str | None = client.client().get(name)
    return found


def read_all(names: Sequence[str | bytes]) -> list[str | None]:
    """Return what is stored under each name. Raises StoreError."""
    with client.client().pipeline(transaction=False) as pipe:
        for name in names:
            pipe.get(name)
        return list(pipe.execute())


def write(name: str | bytes, value: str | bytes, keep: timedelta | None) -> None:
    """Store a value for some time; for ever with None. Raises StoreError."""
    client.client().set(name, value, ex=keep)


def remove(name: str | bytes) -> None:
    """Remove what is stored under this name. Raises StoreError."""
    client.client().delete(name)
