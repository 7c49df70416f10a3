"""`python -m bench.fsyncs`: how many fsyncs one effect takes, when several run at once."""

from __future__ import annotations

import argparse
from statistics import median

from bench.counted import COUNT
from bench.environment import BenchEnvironment
from bench.sides import GATE_OPTIONS, Side
from bench.throughput import Work, one_round

COUNTED = Side("effects", "bench.counted", "bench.agents.noop.effect", GATE_OPTIONS)


def main() -> None:
    """Run rounds of effects with pools of several sizes, and print the fsyncs of each."""
    asked = _arguments()
    work = [Work(asked.tasks, 0, pool, size) for pool in asked.pools for size in asked.concurrency]
    with BenchEnvironment() as environment:
        rounds = [[_round(environment, each) for each in work] for _ in range(asked.rounds)]
    for each, found in zip(work, zip(*rounds, strict=True), strict=True):
        counts = [count for count, _ in found]
        rate = median(rate for _, rate in found)
        print(
            f"{each.pool:8} {each.concurrency}: {median(counts):.2f} fsyncs per effect "
            f"({min(counts):.2f} to {max(counts):.2f}), {rate:.0f} effects/s"
        )


def _round(environment: BenchEnvironment, work: Work) -> tuple[float, float]:
    """Return the fsyncs per effect, and the effects per second, of one round."""
    count = environment.settings.state_dir / COUNT
    count.parent.mkdir(parents=True, exist_ok=True)
    count.write_bytes(b"")
    rate = one_round(environment, COUNTED, work).rate
    return count.stat().st_size / work.tasks, rate


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.fsyncs", description=__doc__)
    parser.add_argument("--pools", nargs="+", choices=("prefork", "threads"), default=["prefork", "threads"])
    parser.add_argument("--concurrency", nargs="+", type=int, default=[2, 4, 8])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=400, help="effects in each round")
    return parser.parse_args()


if __name__ == "__main__":
    main()
