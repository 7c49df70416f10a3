"""Let a busy late-ack worker survive a restart of Redis.

Celery 5.7.0 closes its broker connection after `connection.client` is gone; kombu then asks the missing client for its
host name, and the AttributeError ends the worker. As a ConnectionError it is retried like every other lost connection.
tests/acceptance/test_redis_restart.py shows when this can go.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import redis as transport
from redis.exceptions import ConnectionError as RedisConnectionError


def install() -> None:
    """Wrap kombu's look-up of connection parameters once."""
    channel: Any = transport.Channel
    original = channel._connparams  # noqa: SLF001 - the one place where the missing client shows
    if getattr(original, "survives_restart", False):
        return

    def connparams(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.connection is None or self.connection.client is None:
            raise RedisConnectionError("the broker connection is gone")
        return original(self, *args, **kwargs)

    connparams.survives_restart = True  # type: ignore[attr-defined]
    channel._connparams = connparams  # noqa: SLF001 - likewise
