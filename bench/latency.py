"""`python -m bench.latency`: the latency of the gate's scripts and of PING, in turn on the same connection."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

from redis import Redis

from bench.agents import noop
from bench.done_keys import fill
from bench.environment import BenchEnvironment
from bench.success import result
from state.ledger import Ledger
from state.model import Claim

#: Calls that are not timed, while scripts are loaded and the processor reaches its speed.
WARM_UP = 200


@dataclass
class Stopwatch:
    """The durations of named operations, in microseconds."""

    taken: dict[str, list[float]] = field(default_factory=dict)

    def time(self, name: str, do: Callable[..., Any], *args: Any) -> Any:
        began = time.perf_counter_ns()
        result = do(*args)
        self.taken.setdefault(name, []).append((time.perf_counter_ns() - began) / 1000)
        return result


def main() -> None:
    """Measure with the asked numbers of done keys, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.latency", description=__doc__)
    parser.add_argument("--calls", type=int, default=3000, help="calls that are timed (default: 3000)")
    parser.add_argument(
        "--keys", type=int, nargs="*", default=[1000, 1_000_000], help="done keys that are there before (1000 1000000)"
    )
    asked = parser.parse_args()
    print(f"{'keys':>9}  {'µs':10}{'median':>8}{'p99':>8}{'ratio':>8}   load average {os.getloadavg()[0]:.1f}")
    with BenchEnvironment() as environment:
        for keys in asked.keys:
            taken = latencies(environment.redis, asked.calls, keys)
            for name, each in taken.items():
                ratio = median(each) / median(taken["PING"])
                print(f"{keys:9,}  {name:10}{median(each):8.1f}{quantiles(each, n=100)[98]:8.1f}{ratio:8.2f}")


def latencies(redis: Redis, tries: int, keys: int = 0) -> dict[str, list[float]]:
    """Return the latencies of PING, admit and settle for registered calls of a repeat-safe task, in microseconds.

    Args:
        redis: The server, which is emptied first.
        tries: How many calls are timed.
        keys: How many done calls are there before.

    """
    redis.flushall()
    fill(redis, keys)
    _wait_for_rewrite(redis)
    watch = Stopwatch()
    for n in range(WARM_UP + tries):
        if n == WARM_UP:
            watch.taken.clear()
        _one_call(redis, n, watch)
    return watch.taken


def _wait_for_rewrite(redis: Redis) -> None:
    """Wait until the server has rewritten its append-only file, which copies each page that changes meanwhile."""
    while any(redis.info("persistence")[name] for name in ("aof_rewrite_in_progress", "aof_rewrite_scheduled")):
        time.sleep(0.1)


def _one_call(redis: Redis, n: int, watch: Stopwatch) -> None:
    ledger, gate = Ledger(redis), noop.nothing.spec
    arguments = {"n": n}
    call, limits = gate.call_with(arguments, id=f"call-{n}", origin="bench"), gate.limits(arguments)
    ledger.register(call)
    watch.time("PING", redis.ping)
    claim: Claim = watch.time("admit", ledger.admit, call, limits)
    watch.time("settle", ledger.settle, call, claim, limits, result(claim))


if __name__ == "__main__":
    main()
