"""`python -m bench.scale`: what 1, 2 and 4 workers on one server carry, and how much of the server they take."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench import throughput
from bench.environment import BenchEnvironment
from bench.hold import stopped
from bench.sides import EFFECT, GATE, GATE_OPTIONS, Side
from state.processes import liveness

#: Seconds for all rounds together; one that has begun is completed.
MAX_SECONDS = 180.0
#: Seconds until all workers of a round consume; four start at once on two cores.
MAX_START_SECONDS = 60.0
#: Threads of each worker, as in the Procfile.
THREADS = 8


@dataclass(frozen=True)
class Round:
    """One round: calls per second, microseconds of processor time for each, and the server's share of one core."""

    workers: int
    kind: str
    rate: float
    worker_us: float
    server_us: float
    server_share: float


def main() -> None:
    """Let the numbers of workers alternate until the time is over, and print the median of each."""
    asked = _arguments()
    began, rounds = time.monotonic(), list[Round]()
    with BenchEnvironment() as environment:
        for count, side in _turns(asked.workers, asked.rounds):
            if time.monotonic() - began > MAX_SECONDS:
                print(f"stopped after {MAX_SECONDS:g} s; the figures are those of fewer rounds")
                break
            rounds.append(_round(environment, side, count, asked.tasks))
            print(rounds[-1], flush=True)
    print(_table(rounds))
    if asked.json:
        asked.json.write_text(json.dumps([asdict(each) for each in rounds], indent=2) + "\n")


def _turns(workers: Sequence[int], rounds: int) -> Iterator[tuple[int, Side]]:
    """Yield what is measured, each second turn backwards, so that nothing always comes after the same other one."""
    every = [(count, side) for side in (GATE, EFFECT) for count in workers]
    for number in range(rounds):
        yield from every if number % 2 == 0 else reversed(every)


def _round(environment: BenchEnvironment, side: Side, workers: int, tasks: int) -> Round:
    """Start the workers, hold them while the queue is filled, and measure from the first sixth of the calls to the last."""
    environment.empty()
    sent = tasks + tasks // 5
    with _workers(environment, side, workers) as pids:
        wait_until_ready(environment, workers)
        with stopped(pids):  # else the first of them would have done much before the last one is there
            environment.run("bench.fill", side.app, side.task, str(sent))
        began, left, used = throughput.wait(environment, pids, at_most=tasks)
        ended, _, used_then = throughput.wait(environment, pids, at_most=0)
    throughput.check_ledger(environment, sent)
    of_workers, of_server = (1e6 * (then - now) / left for now, then in zip(used, used_then, strict=True))
    rate = left / (ended - began)
    return Round(workers, side.name, rate, of_workers, of_server, of_server * rate / 1e6)


@contextmanager
def _workers(environment: BenchEnvironment, side: Side, count: int) -> Iterator[list[int]]:
    """Run so many workers, each with a name of its own, and yield their process ids."""
    pool = ["--pool", "threads", "--concurrency", str(THREADS), *GATE_OPTIONS]
    celery = [sys.executable, "-m", "celery", "-A", side.app, "--quiet", "worker", "--loglevel", "warning", *pool]
    with ExitStack() as stack:
        names = ["worker", *(f"worker{number}" for number in range(2, count + 1))]
        started = [stack.enter_context(environment.running(name, [*celery, "-n", f"{name}@%h"])) for name in names]
        yield [process.pid for process in started]


def wait_until_ready(environment: BenchEnvironment, workers: int) -> None:
    """Wait until so many workers have reported that they live."""
    deadline = time.monotonic() + MAX_START_SECONDS
    while environment.redis.hlen(liveness.key()) < workers:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not every worker starts; one says:\n{environment.log('worker')}")
        time.sleep(0.1)


def _table(rounds: Sequence[Round]) -> str:
    """Return the medians, one line for each kind of call and number of workers."""
    lines = [
        "",
        f"{'':24}{'workers':>8}{'calls/s':>9}{'µs, workers':>13}{'µs, server':>12}{'server':>8}{'at 100 %':>10}",
    ]
    for kind, count in dict.fromkeys((each.kind, each.workers) for each in rounds):
        same = [each for each in rounds if (each.kind, each.workers) == (kind, count)]
        found = [
            median(getattr(each, name) for each in same) for name in ("rate", "worker_us", "server_us", "server_share")
        ]
        rate, worker_us, server_us, share = found
        lines.append(
            f"{kind:24}{count:8}{rate:9.0f}{worker_us:13.0f}{server_us:12.0f}{share:8.0%}{1e6 / server_us:8.0f}/s"
        )
    return "\n".join(lines)


def _arguments() -> Any:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=2000, help="timed calls in each round")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures of each round there as well")
    return parser.parse_args()


if __name__ == "__main__":
    main()
