"""Taskiq on Redis, for the bench of speed.

https://github.com/taskiq-python/taskiq-redis#usage: the broker of its example, which acknowledges a task when it has ended.
The example's result backend is left out, because no side keeps results.
"""

from __future__ import annotations

import os

from taskiq_redis import RedisStreamBroker

from bench.peers.adapters import processed

broker = RedisStreamBroker(url=os.environ["REDIS_URL"])


async def nothing(n: int) -> None:  # noqa: ARG001 - each call has an argument of its own
    """Do nothing."""
    processed.count()


noop = broker.task(task_name="noop")(nothing)


async def connect() -> None:
    """Open the connection, and make the group that reads the stream."""
    await broker.startup()


async def enqueue(n: int) -> None:
    """Ask for the task that does nothing."""
    await noop.kiq(n)
