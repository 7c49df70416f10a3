"""Removal of a temporary namespace: every Redis key that a drill made under one name."""

from __future__ import annotations

from state.redis import client

#: Keys scanned in one round trip; a server with a million keys answers in a few milliseconds.
BATCH_SIZE = 5000


def remove(url: str, name: str) -> int:
    """Remove the broker's keys of `name` and all keys of its agents, which are named `name-…`.

    Repeat until a scan finds nothing, because the last writes of a process that was just killed may still arrive.

    Returns:
        How many keys were removed.

    """
    redis, removed = client.client(url), 0
    while found := [*redis.scan_iter(f"{name}:*", BATCH_SIZE), *redis.scan_iter(f"gate:{{{name}-*", BATCH_SIZE)]:
        with redis.pipeline(transaction=False) as pipe:  # in a cluster they are on several servers
            for key in found:
                pipe.unlink(key)
            removed += sum(pipe.execute())
    return removed
