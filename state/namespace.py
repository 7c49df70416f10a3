"""A namespace that lives for a minute: every Redis key below one name, removed at its end."""

from __future__ import annotations

from state.redis import client

#: Keys looked at in one round trip; a server with a million of them answers each in a few milliseconds.
BATCH_SIZE = 5000


def remove(url: str, name: str) -> int:
    """Remove what belongs to `name`: its broker's keys, and its agents, which are called `name-…`; answers how many.

    It looks until nothing is left: the last words of a process that was just killed may still be on their way.
    """
    redis, removed = client.client(url), 0
    while found := [*redis.scan_iter(f"{name}:*", BATCH_SIZE), *redis.scan_iter(f"gate:{{{name}-*", BATCH_SIZE)]:
        removed += int(redis.unlink(*found))
    return removed
