"""`python -m bench.look`: what one look of a sweep at agents costs this process and the server."""

from __future__ import annotations

import argparse
import time

from bench import schedstat
from bench.environment import BenchEnvironment
from state.ledger import Ledger
from state.redis.keys import Keys

#: Looks that are timed, and those before them.
LOOKS, WARM_UP = 500, 20


def main() -> None:
    """Time looks at agents that ran before, and print what one costs."""
    parser = argparse.ArgumentParser(prog="python -m bench.look", description=__doc__)
    parser.add_argument("--agents", type=int, default=6)
    parser.add_argument("--busy", type=int, default=0, help="of the agents, how many have a call in their queue")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds before each look")
    asked = parser.parse_args()
    agents = [f"agent{number}" for number in range(asked.agents)]
    with BenchEnvironment() as environment:
        for agent in agents:
            environment.redis.hset(Keys(agent).agent_meta, mapping={"revision": 7, "fence": 3, "updated_ms": 1})
        for agent in agents[: asked.busy]:
            environment.redis.zadd(Keys(agent).queued, {"call": 1e15})
        here, server = _measured(environment, agents, asked.pause)
    print(f"{len(agents)} agents, {asked.busy} busy: {1e6 * here:.0f} µs here, {1e6 * server:.0f} µs in the server")


def _measured(environment: BenchEnvironment, agents: list[str], pause: float) -> tuple[float, float]:
    """Return the seconds of processor time for one look, of this thread and of the server."""
    ledger = Ledger(environment.redis)
    for _ in range(WARM_UP):
        ledger.pending(agents)
    looks = LOOKS if not pause else max(1, round(LOOKS / 10))
    mine, its = time.thread_time(), schedstat.seconds([environment.server.pid])
    for _ in range(looks):
        time.sleep(pause)
        ledger.pending(agents)
    return (time.thread_time() - mine) / looks, (schedstat.seconds([environment.server.pid]) - its) / looks


if __name__ == "__main__":
    main()
