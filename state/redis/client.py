"""The client of Redis: one per process, with timeouts, and with transient errors told apart."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import islice
from typing import Any, TypeVar, cast

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError

import settings
from state.redis import opening
from state.redis.away import RedisAway, is_transient

__all__ = [
    "Client",
    "RedisAway",
    "StoreError",
    "as_away",
    "batches",
    "client",
    "hash_fields",
    "now_ms",
    "retry_while_unavailable",
]

#: The base class of every error of Redis.
StoreError = RedisError

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Seconds; longer than any script takes, and short enough for a person at a terminal.
CONNECT_TIMEOUT = 3
ANSWER_TIMEOUT = 10


class Client(Redis):  # type: ignore[misc]  # mypy does not see redis-py's types
    """A client that raises every transient error as RedisAway."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            return super().execute_command(*args, **options)
        except RedisError as error:
            raise as_away(error) from error

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:  # noqa: FBT001, FBT002 - redis-py's signature
        return _Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class _Pipeline(Pipeline):  # type: ignore[misc]  # likewise
    """A pipeline that raises every transient error as RedisAway."""

    def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - redis-py's signature
        try:
            return cast("list[Any]", super().execute(raise_on_error))
        except RedisError as error:
            raise as_away(error) from error


def as_away(error: RedisError) -> RedisError:
    """Return a transient error as RedisAway, and any other error unchanged."""
    return RedisAway(str(error)) if is_transient(error) else error


@cache
def client(url: str | None = None) -> Redis:
    """Return this process's client, which many threads may share and which survives a fork.

    Args:
        url: The server, in the form that `redis_url` writes; None for REDIS_URL.

    """
    return opening.open_client(
        Client,
        url or settings.current().redis_url,
        decode_responses=True,
        socket_connect_timeout=CONNECT_TIMEOUT,
        socket_timeout=ANSWER_TIMEOUT,
        client_name="gatehouse",
    )


def now_ms(redis: Redis) -> int:
    """Return the server's clock, in milliseconds since 1970."""
    seconds, micros = redis.time()
    return int(seconds) * 1000 + int(micros) // 1000


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield the items in lists of `size`, each for one round trip; the last list may be shorter."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def hash_fields(redis: Redis, names: Iterable[str], *fields: str) -> list[list[Any]]:
    """Return these fields of each hash, None where it has none. Takes one round trip, however many hashes there are."""
    with redis.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.hmget(name, *fields)
        return list(pipe.execute())


def retry_while_unavailable(action: Callable[[], Result], seconds: float) -> Result:
    """Return what `action` returns, and repeat it while Redis is away.

    Args:
        action: A function that may safely run more than once.
        seconds: How long to repeat it.

    Raises:
        RedisAway: Redis was still away at the end.

    """
    deadline, pause = time.monotonic() + seconds, 0.1
    while True:
        try:
            return action()
        except RedisAway:
            if time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 2.0)
