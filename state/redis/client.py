"""The client of Redis: one per process, with timeouts, of one server or of a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from itertools import islice
from typing import Any, TypeVar

from redis import Redis
from redis.exceptions import RedisError

import settings
from server_urls import redis_url
from state.redis import connections, opening
from state.redis.away import RedisAway
from state.redis.cluster import ClusterClient
from state.redis.server import Client, as_away

__all__ = [
    "Client",
    "RedisAway",
    "StoreError",
    "as_away",
    "batches",
    "by_server",
    "client",
    "hash_fields",
    "look_for_primary_again",
    "now_ms",
    "open_client",
    "retry_while_unavailable",
    "server_of",
    "servers",
]

#: The base class of every error of Redis.
StoreError = RedisError

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Seconds; longer than any script takes, and short enough for a person at a terminal.
CONNECT_TIMEOUT = 3
ANSWER_TIMEOUT = 10


@cache
def client(url: str | None = None) -> Redis:
    """Return this process's client, which many threads may share and which survives a fork.

    Args:
        url: The server, in the form that `redis_url` writes; None for REDIS_URL.

    """
    return open_client(url or settings.current().redis_url, CONNECT_TIMEOUT, ANSWER_TIMEOUT)


def open_client(url: str, connect_timeout: float, answer_timeout: float) -> Any:
    """Return a client of a server, of the one that sentinels call the primary, or of a cluster; the timeouts are in seconds."""
    options = {
        "decode_responses": True,
        "socket_connect_timeout": connect_timeout,
        "socket_timeout": answer_timeout,
        "client_name": "gatehouse",
    }
    if redis_url.read(url).nodes:
        return ClusterClient(url, **options)
    return opening.open_client(Client, url, **options)


def servers(redis: Redis) -> list[Redis]:
    """Return a client of each server that holds keys: the primaries of a cluster, or else the one server."""
    return redis.primaries() if isinstance(redis, ClusterClient) else [redis]


def server_of(redis: Redis, name: str) -> Redis:
    """Return a client of the server that holds the key of this name."""
    return redis.primary_of(name) if isinstance(redis, ClusterClient) else redis


def by_server(redis: Redis, names: Sequence[str]) -> list[list[str]]:
    """Return the names of keys grouped by the server that holds them; without a cluster it is one."""
    return redis.by_primary(names) if isinstance(redis, ClusterClient) else [list(names)]


def look_for_primary_again(redis: Redis) -> None:
    """Find out anew which server is the primary, where sentinels or a cluster choose it; with one server do nothing.

    A primary that the others cannot reach may still answer us, while another one has taken its place.
    """
    if not isinstance(redis, ClusterClient):
        connections.ask_sentinels_again(redis)
        return
    with suppress(RedisAway):
        redis.connection_pool.refresh()


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
