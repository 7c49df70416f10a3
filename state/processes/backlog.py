"""The backlog: calls that were sent and that no worker has taken yet, by queue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from state.options import queue_of
from state.redis import client
from state.redis.keys import Keys

#: Calls read per agent: enough to see every queue in which calls wait for long.
BATCH_SIZE = 200


@dataclass(frozen=True)
class Backlog:
    """The calls that wait in one queue, among those that were read."""

    queue: str  #: empty for the default one
    calls: int
    since_ms: int  #: when the oldest of them became due


def of_queues(agents: Iterable[str]) -> list[Backlog]:
    """Return one backlog for each queue in which calls of these agents wait."""
    redis = client.client()
    found: dict[str, list[int]] = {}
    for n in map(Keys, agents):
        calls = redis.zrange(n.queued, 0, BATCH_SIZE - 1)
        for lane, at_ms in client.hash_fields(redis, map(n.call, calls), "lane", "at_ms"):
            if at_ms is not None:
                found.setdefault(queue_of(lane or ""), []).append(int(at_ms))
    return [Backlog(queue, len(times), min(times)) for queue, times in sorted(found.items())]
