"""`python -m bench`: what the gate costs, in one run on this machine."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from bench.environment import BenchEnvironment
from bench.latency import latencies
from bench.report import Report
from bench.throughput import EFFECT, GATE, PLAIN, UNSYNCED, Side, Work, one_round

WHAT = """\
Each round fills a queue with calls of a task that does nothing, starts one worker, and times it from the end of the
warm-up to the last acknowledgement; the rounds alternate. Every side has the same server, pool and settings: those of
workers/config.py, so late acks, prefetch 1, task events on, the same time limits; only results are ignored.
"""


def main() -> None:
    """Measure, print, and write the figures to a file if asked to."""
    asked = _arguments()
    work = Work(asked.tasks, asked.tasks // 5, asked.pool, asked.concurrency)
    print(WHAT)
    with BenchEnvironment() as environment:
        rounds = _alternate(
            environment, work, asked.rounds, (PLAIN, GATE) if asked.short else (PLAIN, GATE, EFFECT, UNSYNCED)
        )
        report = Report(work, rounds, latencies(environment.redis, asked.tasks))
    print(report)
    if asked.json:
        asked.json.write_text(json.dumps(report.as_json(), indent=2) + "\n")


def _alternate(environment: BenchEnvironment, work: Work, count: int, sides: Sequence[Side]) -> dict[Side, list[float]]:
    rounds: dict[Side, list[float]] = {side: [] for side in sides}
    for _ in range(count):
        for side, rates in rounds.items():
            rates.append(one_round(environment, side, work))
    return rounds


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--pool", choices=("prefork", "threads"), default="prefork")
    parser.add_argument("--concurrency", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=800, help="timed tasks in each round")
    parser.add_argument("--short", action="store_true", help="a first impression: 2 rounds of 300, without the effect")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    asked = parser.parse_args()
    if asked.short:
        asked.rounds, asked.tasks = 2, 300
    return asked


if __name__ == "__main__":
    main()
