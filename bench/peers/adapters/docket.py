"""Docket on Redis, for the bench of speed.

https://docket.lol/en/latest/getting-started/: `docket worker --tasks` runs the tasks of a collection, and `docket.add(task)`
is awaited with its arguments. A key is one call. https://docket.lol/en/latest/production/: the options of a worker.
"""

from __future__ import annotations

import os

from docket import Docket

from bench.peers.adapters import processed

docket = Docket(url=os.environ["REDIS_URL"])


async def noop(n: int) -> None:  # noqa: ARG001 - each call has an argument of its own
    """Do nothing."""
    processed.count()


tasks = [noop]


async def connect() -> None:
    """Open the connection; it lasts as long as the process."""
    await docket.__aenter__()


async def enqueue(n: int) -> None:
    """Ask for the task that does nothing."""
    await docket.add(noop, key=f"noop-{n}")(n)
