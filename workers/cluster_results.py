"""Celery's results in a Redis Cluster: each in a slot of its own, read anew until it is there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery.backends.base import KeyValueStoreBackend

from state import results


class ClusterResults(KeyValueStoreBackend):
    """A backend that keeps results in the cluster that REDIS_URL names; Celery's own ones know a single server only."""

    persistent = True
    supports_autoexpire = True

    def __init__(self, app: Any, expires: Any = None, **options: Any) -> None:
        super().__init__(app, **options)
        self.expires = self.prepare_expires(expires)

    def get(self, key: Any) -> str | None:
        """Return a result as text; None if there is none yet."""
        return results.read(key)

    def mget(self, keys: Any) -> list[str | None]:
        """Return several results."""
        return results.read_all(list(keys))

    def set(self, key: Any, value: Any) -> None:
        """Store a result for as long as `result_expires` says."""
        results.write(key, value, timedelta(seconds=self.expires) if self.expires else None)

    def delete(self, key: Any) -> None:
        """Remove a result."""
        results.remove(key)
