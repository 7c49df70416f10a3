"""Measure the latency of the gate's two scripts and of PING, in turn on the same connection."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from redis import Redis

from bench.agents import noop
from state.ledger import Ledger
from state.model import AttemptResult, Claim, stored_result

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


def latencies(redis: Redis, tries: int) -> dict[str, list[float]]:
    """Return the latencies of PING, admit and settle for `tries` registered calls of a repeat-safe task, in microseconds."""
    redis.flushall()
    watch = Stopwatch()
    for n in range(WARM_UP + tries):
        if n == WARM_UP:
            watch.taken.clear()
        _one_call(redis, n, watch)
    return watch.taken


def _one_call(redis: Redis, n: int, watch: Stopwatch) -> None:
    ledger, gate = Ledger(redis), noop.nothing.spec
    arguments = {"n": n}
    call, limits = gate.call_with(arguments, id=f"call-{n}", origin="bench"), gate.limits(arguments)
    ledger.register(call)
    watch.time("PING", redis.ping)
    claim: Claim = watch.time("admit", ledger.admit, call, limits)
    watch.time("settle", ledger.settle, call, claim, limits, result(claim))


def result(claim: Claim) -> AttemptResult:
    """Return the result of a successful attempt."""
    at = claim.admitted_ms
    claimed = {"at": at, "event": "claimed", "attempt": 1, "fence": claim.fence, "owner": claim.owner}
    return AttemptResult(
        "done",
        result=stored_result("0"),
        counters={"total_done": 1},
        events=[json.dumps(claimed), json.dumps({"at": at, "event": "done", "ms": 0, "attempt": 1})],
    )
