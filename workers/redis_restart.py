"""Let a busy late-ack worker survive a Redis that restarts, is full, or cannot write to its disk.

Celery 5.7.0 closes its broker connection after `connection.client` is gone; kombu then asks the missing client for its
host name, and the AttributeError ends the worker. And where Redis answers that it takes no writes now, kombu 5.7.0 sees
an error in the program: the worker stays alive and consumes nothing more. As lost connections both are retried. A
message that was popped meanwhile is in the register, and sent again. tests/acceptance/test_redis_restart.py shows when
this can go.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import redis as transport
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MasterDownError, OutOfMemoryError, ReadOnlyError, ResponseError, TryAgainError

from state.away import is_transient

#: Answers of a server that is well again some time later.
PASSING = (MasterDownError, OutOfMemoryError, ReadOnlyError, TryAgainError)


def install() -> None:
    """Wrap what kombu does with such answers, once."""
    if PASSING[0] in transport.Transport.connection_errors:
        return
    transport.Transport.connection_errors += PASSING
    _survive_a_missing_client(transport.Channel)
    _survive_a_server_that_takes_no_writes(transport.QoS)
    _survive_a_refused_wait(transport.Channel)


def _survive_a_missing_client(channel: Any) -> None:
    original = channel._connparams  # noqa: SLF001 - the one place where the missing client shows

    def connparams(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.connection is None or self.connection.client is None:
            raise RedisConnectionError("the broker connection is gone")
        return original(self, *args, **kwargs)

    channel._connparams = connparams  # noqa: SLF001 - likewise


def _survive_a_server_that_takes_no_writes(qos: Any) -> None:
    original = qos.append

    def append(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(self, *args, **kwargs)
        except ResponseError as error:
            raise RedisConnectionError(f"the broker cannot keep the message: {error}") from error

    qos.append = append


def _survive_a_refused_wait(channel: Any) -> None:
    """To wait for a message is a write too: without replicas, disk or a free moment Redis refuses it, and kombu waits no more."""
    original = channel._brpop_read  # noqa: SLF001 - the one place where the answer shows

    def brpop_read(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(self, *args, **kwargs)
        except ResponseError as error:
            if not is_transient(error):
                raise
            self.client.connection.disconnect()
            raise RedisConnectionError(f"the broker gives no messages for now: {error}") from error

    channel._brpop_read = brpop_read  # noqa: SLF001 - likewise
