"""`python -m bench.scripts`: what the scripts of a repeat-safe call cost the server and the caller, and the bytes that stay."""

from __future__ import annotations

import argparse
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from statistics import median
from typing import Any

from redis import Redis

from bench.agents import noop
from bench.environment import BenchEnvironment
from bench.latency import result
from state.ledger import Ledger
from state.model import Call, CallLimits
from state.redis.keys import Keys

#: Calls that are not timed.
WARM_UP = 50
#: Keys written in one round trip.
BATCH_SIZE = 1000
#: Runs a server so that its instructions are counted; it writes its counts into its folder.
CALLGRIND = ("valgrind", "--tool=callgrind", "--callgrind-out-file={folder}/callgrind.%p")


class Calls:
    """Repeat-safe calls that go the whole way, all of them one step at a time."""

    def __init__(self, redis: Redis, calls: int) -> None:
        self.redis, self.ledger = redis, Ledger(redis)
        gate = noop.nothing.spec
        given = [{"n": n} for n in range(calls)]
        self.calls = [(gate.call_with(one, id=f"call-{one['n']}", origin="bench"), gate.limits(one)) for one in given]

    def steps(self) -> Iterator[tuple[str, Iterator[Callable[[], Any]]]]:
        """Yield each step with what it does for each call; run them in this order."""
        claims: list[Any] = []
        yield "PING", (self.redis.ping for _ in self.calls)
        yield "register", (partial(self.ledger.register, call) for call, _ in self.calls)
        yield "admit", (partial(self._admit, claims, *each) for each in self.calls)
        yield "settle", (partial(self._settle, claim, *each) for claim, each in zip(claims, self.calls, strict=True))

    def _admit(self, claims: list[Any], call: Call, limits: CallLimits) -> None:
        claims.append(self.ledger.admit(call, limits))

    def _settle(self, claim: Any, call: Call, limits: CallLimits) -> None:
        self.ledger.settle(call, claim, limits, result(claim))

    def bytes_per_key(self) -> int:
        """Return what Redis keeps of one call that is done, of its key and of their history."""
        call, _ = self.calls[-1]
        names = Keys(call.agent).of(call.key, call.id)
        return sum(self.redis.memory_usage(names[name]) for name in ("key", "call", "history"))


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.scripts", description=__doc__)
    parser.add_argument("--calls", type=int, default=2000, help="calls that are timed (default: 2000)")
    parser.add_argument("--keys", type=int, default=0, help="done keys that are there before (default: none)")
    parser.add_argument("--instructions", action="store_true", help="count the server's instructions, with valgrind")
    asked = parser.parse_args()
    with BenchEnvironment(CALLGRIND if asked.instructions else ()) as environment:
        fill(environment.redis, asked.keys)
        calls = Calls(environment.redis, WARM_UP + asked.calls)
        print(f"{asked.calls} calls of a repeat-safe task, {asked.keys} keys before")
        for row in counted(environment, calls) if asked.instructions else timed(environment.redis, calls):
            print(row)
        print(f"{calls.bytes_per_key()} bytes for the key, the call and the history of a call that is done")


def fill(redis: Redis, keys: int) -> None:
    """Write keys as calls leave them that are done."""
    numbers, n = iter(range(keys)), Keys("noop")
    while batch := list(islice(numbers, BATCH_SIZE)):
        with redis.pipeline(transaction=False) as pipe:
            for number in batch:
                pipe.hset(n.key(f"before-{number}"), mapping={"state": "done", "result": '{"result": 0}', "fence": 1})
            pipe.execute()


def timed(redis: Redis, calls: Calls) -> Iterator[str]:
    """Yield a row per step: the median for the caller, its ratio to PING, and the server's own time for the script."""
    redis.config_set("slowlog-max-len", len(calls.calls))
    redis.config_set("slowlog-log-slower-than", 0)
    yield f"{'µs, medians':12}{'caller':>8}{'ratio':>8}{'server':>8}"
    ping = 0.0
    for name, actions in calls.steps():
        for act in islice(actions, WARM_UP):
            act()
        redis.slowlog_reset()
        took = median(map(_microseconds, actions))
        ping = ping or took
        yield f"{name:12}{took:8.1f}{took / ping:8.2f}{_server_median(redis):8.1f}"


def counted(environment: BenchEnvironment, calls: Calls) -> Iterator[str]:
    """Yield a row per step: how many thousand instructions the server runs for it."""
    yield f"{'':12}thousands of instructions"
    for name, actions in calls.steps():
        for act in islice(actions, WARM_UP):
            act()
        _instructions(environment)
        for act in actions:
            act()
        yield f"{name:12}{_instructions(environment) / (len(calls.calls) - WARM_UP) / 1000:25.1f}"


def _microseconds(act: Callable[[], Any]) -> float:
    began = time.perf_counter_ns()
    act()
    return (time.perf_counter_ns() - began) / 1000


def _server_median(redis: Redis) -> float:
    """Return the median of what the server measured since its slow log was emptied."""
    entries = redis.execute_command(
        "SLOWLOG", "GET", -1
    )  # two words: redis-py cannot read the answer of its own method
    return float(median(duration for _, _, duration, command, *_ in entries if command[0] in {"PING", "EVALSHA"}))


def _instructions(environment: BenchEnvironment) -> int:
    """Return how many instructions the server has run since this was asked last."""
    pid = environment.redis.info("server")["process_id"]
    subprocess.run(["callgrind_control", "-d", str(pid)], capture_output=True, check=True)
    newest = max(environment.folder.glob("callgrind.*"), key=lambda path: path.stat().st_mtime_ns)
    return int(newest.read_text().rpartition("totals: ")[2].split()[0])


if __name__ == "__main__":
    main()
