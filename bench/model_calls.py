"""Calls of a model that answers after a fixed time: how much longer all of them take than one, with a thread for each."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from bench import fake_model
from bench.parts import Parts
from state.redis.keys import Keys

#: Seconds for all calls to end, over those that the model takes.
MAX_EXTRA_SECONDS = 60.0
#: The agent of the tasks in bench/agents/stack.py.
AGENT = "stack"
#: Seconds between two looks at the number of calls that are done.
POLL_SECONDS = 0.01


def against_ideal(calls: int, seconds: float) -> float:
    """Return how long so many calls take that run at once, as a multiple of the time of one.

    Args:
        calls: The number of calls, and of the worker's threads.
        seconds: How long the model takes for each.

    """
    with fake_model.serving(seconds) as url, Parts({}) as parts:
        parts.run("bench.fill_asks", str(calls), url)
        with parts.celery_worker(calls):
            [ready] = parts.lines("worker", "worker ready")
            began = datetime.fromisoformat(ready["timestamp"])
            _wait(parts, calls, seconds)
            return (datetime.now(UTC) - began).total_seconds() / seconds


def _wait(parts: Parts, calls: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds + MAX_EXTRA_SECONDS
    while int(parts.redis.hget(Keys(AGENT).metrics, "total_done") or 0) < calls:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the calls did not end; the worker says:\n{parts.log('worker')}")
        time.sleep(POLL_SECONDS)
