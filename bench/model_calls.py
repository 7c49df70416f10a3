"""Calls of a model that answers after a fixed time: how much longer all of them take than one, with a thread for each."""

from __future__ import annotations

import time
from contextlib import ExitStack

from bench import fake_model
from bench.hold import stopped
from bench.parts import Parts
from state.redis.keys import Keys

#: Seconds for all calls to end, over those that the model takes.
MAX_EXTRA_SECONDS = 60.0
#: The agent of the tasks in bench/agents/stack.py.
AGENT = "stack"
#: Seconds between two looks at the number of calls that are done.
POLL_SECONDS = 0.01


def against_ideal(calls: int, seconds: float, workers: int) -> float:
    """Return how long so many calls take that run at once, as a multiple of the time of one.

    Args:
        calls: The number of calls, and of the threads of all workers.
        seconds: How long the model takes for each.
        workers: The number of workers that share the threads.

    """
    with fake_model.serving(seconds) as url, Parts({}) as parts, ExitStack() as stack:
        names = ["worker", *(f"worker{number}" for number in range(2, workers + 1))]
        started = [stack.enter_context(parts.celery_worker(calls // workers, name)) for name in names]
        with stopped([process.pid for process in started]):
            parts.run("bench.fill_asks", str(calls), url)
        began = time.monotonic()
        _wait(parts, calls, seconds)
        return (time.monotonic() - began) / seconds


def _wait(parts: Parts, calls: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds + MAX_EXTRA_SECONDS
    while int(parts.redis.hget(Keys(AGENT).metrics, "total_done") or 0) < calls:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the calls did not end; the worker says:\n{parts.log('worker')}")
        time.sleep(POLL_SECONDS)
