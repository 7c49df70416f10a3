"""`python -m bench.scripts`: what the scripts of a call cost the server and the caller, and the bytes that stay."""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from statistics import median
from typing import Any

from redis import Redis

from bench.agents import noop
from bench.done_keys import fill
from bench.environment import BenchEnvironment
from bench.success import beginning, result
from state.journal.journal import Journal
from state.ledger import Ledger
from state.model import Call, CallLimits, Claim
from state.redis.keys import Keys

#: Calls that are not timed.
WARM_UP = 50
#: Of an effect, as JSON text.
PAYLOAD_BYTES = 1024
#: Runs a server so that its instructions are counted; it writes its counts into its folder.
CALLGRIND = ("valgrind", "--tool=callgrind", "--callgrind-out-file={folder}/callgrind.%p")


class Calls:
    """Calls that go the whole way, all of them one step at a time: of a repeat-safe task, or of one with an effect."""

    def __init__(self, redis: Redis, calls: int, journal: Journal | None = None) -> None:
        self.redis, self.ledger = redis, Ledger(redis, journal)
        self.gate = noop.effect.spec if journal else noop.nothing.spec
        given = [{"n": n} for n in range(calls)]
        self.calls = [
            (self.gate.call_with(one, id=f"call-{one['n']}", origin="bench"), self.gate.limits(one)) for one in given
        ]
        self.payload = json.dumps("x" * (PAYLOAD_BYTES - 2)) if journal else ""
        self.claims: list[Claim] = []

    def steps(self) -> Iterator[tuple[str, Iterator[Callable[[], Any]]]]:
        """Yield each step with what it does for each call; run them in this order."""
        yield "PING", (self.redis.ping for _ in self.calls)
        yield "register", (partial(self.ledger.register, call) for call, _ in self.calls)
        yield "admit", (partial(self._admit, *each) for each in self.calls)
        if self.payload:
            yield "begin effect", (partial(self._begin, *each) for each in zip(self.calls, self.claims, strict=True))
        yield "settle", (partial(self._settle, *each) for each in zip(self.calls, self.claims, strict=True))

    def _admit(self, call: Call, limits: CallLimits) -> None:
        claim = self.ledger.admit(call, limits)
        if not isinstance(claim, Claim):
            raise TypeError(f"{call.id} was not admitted: {claim}")
        self.claims.append(claim)

    def _begin(self, of: tuple[Call, CallLimits], claim: Claim) -> None:
        self.ledger.begin_effect(of[0], claim, of[1], self.payload, beginning(claim, self.payload))

    def _settle(self, of: tuple[Call, CallLimits], claim: Claim) -> None:
        self.ledger.settle(of[0], claim, of[1], result(claim, self.gate, self.payload))

    def bytes_per_key(self) -> dict[str, int]:
        """Return what Redis keeps of one call that is done: of its key, of its record and of their history."""
        call, _ = self.calls[-1]
        names = Keys(call.agent).of(call.key, call.id)
        return {name: int(self.redis.memory_usage(names[name], samples=0) or 0) for name in ("key", "call", "history")}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.scripts", description=__doc__)
    parser.add_argument("--calls", type=int, default=2000, help="calls that are timed (default: 2000)")
    parser.add_argument("--keys", type=int, default=0, help="done keys that are there before (default: none)")
    parser.add_argument("--effect", action="store_true", help="calls with an effect and a payload of 1 kB")
    parser.add_argument("--instructions", action="store_true", help="count the server's instructions, with valgrind")
    asked = parser.parse_args()
    with BenchEnvironment(CALLGRIND if asked.instructions else ()) as environment:
        redis = environment.redis
        each = _bytes_of_each(redis, asked.keys)
        journal = Journal(environment.folder / "journal") if asked.effect else None
        calls, what = (
            Calls(redis, WARM_UP + asked.calls, journal),
            "with an effect" if journal else "that is repeat-safe",
        )
        print(f"{asked.calls} calls of a task {what}, {asked.keys} keys before{each}")
        for row in counted(environment, calls) if asked.instructions else timed(redis, calls):
            print(row)
        kept = calls.bytes_per_key()
        parts = ", ".join(f"{name} {size}" for name, size in kept.items())
        print(f"{sum(kept.values())} bytes of a call that is done: {parts}")


def _bytes_of_each(redis: Redis, keys: int) -> str:
    """Make done keys, and say how much the server's memory grew with each, tables of names and of expiries included."""
    before = redis.info("memory")["used_memory"]
    fill(redis, keys)
    grown = redis.info("memory")["used_memory"] - before
    return f", {grown / keys:.0f} bytes of the server's memory each" if keys else ""


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
