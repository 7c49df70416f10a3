"""How well Redis is: how fast it answers, what it keeps on disk, how full it is, and how much waits in the queue."""

from __future__ import annotations

import time
from dataclasses import dataclass

from state.redis import client

#: Celery's queue, and the lists beside it that kombu makes for messages with a priority.
QUEUE = ("celery", "celery\x06\x163", "celery\x06\x166", "celery\x06\x169")

#: The quickest of so many pings is the server's; the others may be our own process, busy with something else.
PINGS = 3


@dataclass(frozen=True)
class Health:
    """One look at a Redis or Valkey server."""

    ping_ms: float
    used_bytes: int
    limit_bytes: int  #: `maxmemory`, or the machine's whole memory if there is no such limit; 0 if neither is known
    eviction: str  #: the policy of a full memory
    aof: bool  #: every write goes to an append-only file
    aof_ok: bool  #: the last write to it, and the last time it was written anew, went well


def look() -> Health:
    """Ask the server; raises StoreError when it does not answer."""
    redis = client.client()
    memory, persistence = redis.info("memory"), redis.info("persistence")
    return Health(
        ping_ms=round(min(ping_ms() for _ in range(PINGS)), 2),
        used_bytes=int(memory["used_memory"]),
        limit_bytes=int(memory.get("maxmemory") or memory.get("total_system_memory") or 0),
        eviction=str(memory.get("maxmemory_policy", "unknown")),
        aof=bool(persistence.get("aof_enabled")),
        aof_ok=all(persistence.get(f"aof_last_{what}_status", "ok") == "ok" for what in ("write", "bgrewrite")),
    )


def ping_ms() -> float:
    """Return how long the server takes to answer, in ms; raises StoreError if it does not."""
    started = time.monotonic()
    client.client().ping()
    return (time.monotonic() - started) * 1000


def queue_depth(url: str) -> int:
    """How many messages wait in the broker for a worker to take them."""
    return sum(int(client.client(url).llen(name)) for name in QUEUE)
