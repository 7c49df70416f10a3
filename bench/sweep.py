"""`python -m bench.sweep`: what a worker at rest, and its server, take for each agent that it has loaded.

A worker sweeps its agents twice a second. It runs with few and with many agents, and the difference is divided.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass

from bench import schedstat
from bench.environment import BenchEnvironment
from bench.scale import wait_until_ready
from bench.sides import GATE, GATE_OPTIONS
from workers.sweeper import EVERY

#: Seconds after the start of a worker that do not count: it writes the state files of all agents once.
SETTLE = 10.0


@dataclass(frozen=True)
class Rest:
    """The processor time that a second at rest takes, in µs."""

    worker: float
    server: float


def main() -> None:
    """Measure with few and with many agents, and print the difference for one agent and one sweep."""
    parser = argparse.ArgumentParser(prog="python -m bench.sweep", description=__doc__)
    parser.add_argument("--agents", type=int, nargs=2, default=[10, 250], metavar=("FEW", "MANY"))
    parser.add_argument("--seconds", type=float, default=20.0, help="for which the worker at rest is measured")
    asked = parser.parse_args()
    few, many = asked.agents
    with BenchEnvironment() as environment:
        found = {agents: _rest(environment, agents, asked.seconds) for agents in (few, many)}
    for agents, rest in found.items():
        print(f"{agents:5} agents: worker {rest.worker / 1e4:.2f} %, server {rest.server / 1e4:.2f} % of a core")
    sweeps = (many - few) / EVERY
    worker, server = (
        (getattr(found[many], part) - getattr(found[few], part)) / sweeps for part in ("worker", "server")
    )
    print(f"for each agent and sweep: worker {worker:.1f} µs, server {server:.1f} µs")


def _rest(environment: BenchEnvironment, agents: int, seconds: float) -> Rest:
    environment.empty()
    environment.env |= {"TASK_MODULES": "bench.agents.crowd", "CROWD": str(agents)}
    celery = [sys.executable, "-m", "celery", "-A", GATE.app, "--quiet", "worker", "--loglevel", "warning"]
    with environment.running("worker", [*celery, "--pool", "threads", "--concurrency", "8", *GATE_OPTIONS]) as worker:
        wait_until_ready(environment, 1)
        time.sleep(SETTLE)
        before = [schedstat.seconds(schedstat.tree(pid)) for pid in (worker.pid, environment.server.pid)]
        began = time.monotonic()
        time.sleep(seconds)
        after = [schedstat.seconds(schedstat.tree(pid)) for pid in (worker.pid, environment.server.pid)]
        took = time.monotonic() - began
    of_worker, of_server = (1e6 * (then - now) / took for now, then in zip(before, after, strict=True))
    return Rest(of_worker, of_server)


if __name__ == "__main__":
    main()
