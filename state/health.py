"""The health of the Redis server: latency, memory, persistence, and the depth of the broker's queue."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from redis import Redis

from server_urls.amqp_url import is_amqp
from state import rabbitmq
from state.redis import client

#: Celery's default queue, and the lists that kombu makes beside it for messages with a priority.
QUEUE = ("celery", "celery\x06\x163", "celery\x06\x166", "celery\x06\x169")

#: The fastest of so many pings measures the server; a slower one may measure this process, busy with other work.
PINGS = 3


@dataclass(frozen=True)
class Health:
    """The health of a Redis or Valkey server at one moment."""

    ping_ms: float
    used_bytes: int
    limit_bytes: int  #: `maxmemory`, or the machine's whole memory if there is no such limit; 0 if neither is known
    eviction: str  #: the policy of a full memory
    aof: bool  #: every write goes to an append-only file
    aof_ok: bool  #: the last write to it and the last rewrite of it succeeded


def check() -> Health:
    """Ask the server for its health, in a cluster that of the fullest primary without persistence, or of the fullest one.

    Raises:
        StoreError: It does not answer.

    """
    return max((_of_server(server) for server in client.servers(client.client())), key=_worry)


def _worry(found: Health) -> tuple[bool, float]:
    return not (found.aof and found.aof_ok), found.used_bytes / (found.limit_bytes or found.used_bytes or 1)


def _of_server(redis: Redis) -> Health:
    memory, persistence = redis.info("memory"), redis.info("persistence")
    return Health(
        ping_ms=round(min(_ping_ms(redis) for _ in range(PINGS)), 2),
        used_bytes=int(memory["used_memory"]),
        limit_bytes=int(memory.get("maxmemory") or memory.get("total_system_memory") or 0),
        eviction=str(memory.get("maxmemory_policy", "unknown")),
        aof=bool(persistence.get("aof_enabled")),
        aof_ok=all(persistence.get(f"aof_last_{what}_status", "ok") == "ok" for what in ("write", "bgrewrite")),
    )


def ping_ms() -> float:
    """Return how long the server takes to answer, in milliseconds; raise StoreError if it does not."""
    return _ping_ms(client.client())


def _ping_ms(redis: Redis) -> float:
    started = time.monotonic()
    redis.ping()
    return (time.monotonic() - started) * 1000


def info() -> dict[str, Any]:
    """Return everything that the server says of itself; raises StoreError if it does not answer."""
    answered: dict[str, Any] = client.client().info()
    return answered


def keys() -> int:
    """Return how many keys the server has."""
    return int(client.client().dbsize())


def time_ms() -> float:
    """Return the server's clock in ms since 1970, as exactly as it tells it."""
    seconds, micros = client.client().time()
    return int(seconds) * 1000 + int(micros) / 1000


def queue_depth(url: str) -> int:
    """Return how many messages wait in the default queue of the broker at `url`; raise StoreError if it does not answer."""
    if is_amqp(url):
        return rabbitmq.messages(url, QUEUE[0]) or 0
    return sum(int(client.client(url).llen(name)) for name in QUEUE)
