"""Huey on Redis.

https://huey.readthedocs.io/en/latest/recipes.html#task-deduplication, with the deterministic hash its warning asks for:
"if true at-most-once delivery matters, combine a deterministic ID with the task deduplication recipe". Interrupted tasks
are not put back: the guide warns that they "may run more than once", and a SIGKILL gives no signal.

The bench of speed has Huey as it comes, without the deduplication.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any

from huey import CancelExecution, RedisHuey

from bench.peers.adapters import effect, processed
from bench.peers.adapters.purpose import SPEED

huey = RedisHuey("peer", url=os.environ["REDIS_URL"])
publish = huey.task(name="publish", retries=3, retry_delay=1)(effect.publish)


def deduplicate(task: Any) -> None:
    """Let only one of equal calls run."""
    if not huey.put_if_empty(_dedup_key(task), "1"):
        raise CancelExecution("duplicate task, skipping")


def clear_dedup(task: Any, task_value: Any, error: Any) -> None:  # noqa: ARG001 - Huey's signature
    """Let the same arguments be worked on again in the future."""
    huey.delete(_dedup_key(task))


if not SPEED:
    huey.pre_execute()(deduplicate)
    huey.post_execute()(clear_dedup)


def nothing(n: int) -> None:  # noqa: ARG001 - each call has an argument of its own
    """Do nothing."""
    processed.count()


noop = huey.task(name="noop")(nothing)


def enqueue(n: int) -> None:
    """Ask for the task that does nothing."""
    noop(n)


def call(key: str) -> None:
    """Ask for a key."""
    huey.enqueue(publish.s(key, id=f"publish-{key}"))


def _dedup_key(task: Any) -> str:
    return f"dedup:{task.name}:{hashlib.md5(repr(task.data).encode()).hexdigest()}"
