"""`python -m bench.peers.adapters.publisher MODULE ENQUEUE WARM_UP CALLS`: asks for a peer's `noop`, and times it.

It prints how long the calls took after the warm-up, and the processor time of this process for them, in seconds.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import sys
import time
from collections.abc import Awaitable, Callable


def publish(enqueue: Callable[[int], object], warm_up: int, calls: int) -> tuple[float, float]:
    """Ask so many times, each time with another argument; return the seconds and the processor seconds."""
    for n in range(warm_up):
        enqueue(n)
    began, used = time.perf_counter(), time.process_time()
    for n in range(warm_up, warm_up + calls):
        enqueue(n)
    return time.perf_counter() - began, time.process_time() - used


async def publish_async(
    connect: Callable[[], Awaitable[None]], enqueue: Callable[[int], Awaitable[object]], warm_up: int, calls: int
) -> tuple[float, float]:
    """Do the same with a peer that is asked in an event loop, one call after the other."""
    await connect()
    for n in range(warm_up):
        await enqueue(n)
    began, used = time.perf_counter(), time.process_time()
    for n in range(warm_up, warm_up + calls):
        await enqueue(n)
    return time.perf_counter() - began, time.process_time() - used


def main() -> None:
    """Publish, and print the times."""
    name, function, *counts = sys.argv[1:]
    warm_up, calls = map(int, counts)
    module = importlib.import_module(name)
    enqueue = getattr(module, function)
    if inspect.iscoroutinefunction(enqueue):
        took, used = asyncio.run(publish_async(module.connect, enqueue, warm_up, calls))
    else:
        getattr(module, "connect", lambda: None)()
        took, used = publish(enqueue, warm_up, calls)
    print(json.dumps({"seconds": took, "processor": used}), flush=True)


if __name__ == "__main__":
    main()
