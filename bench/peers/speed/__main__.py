"""`python -m bench.peers.speed`: how fast Gatehouse and its peers take calls and run tasks that do nothing."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.peers import machine
from bench.peers.speed.load import Load
from bench.peers.speed.page import replace_part
from bench.peers.speed.round import Round, one_round
from bench.peers.speed.side import Side
from bench.peers.speed.sides import GATEHOUSE, SIDES
from bench.peers.speed.table import Table
from bench.peers.venv import Venv
from tests.harness import GaveUp

#: The fewest timed calls of a round, for a peer that gets a small share of them.
FEWEST = 20


class Speed:
    """The rounds of each side, turn by turn."""

    def __init__(self, home: Venv, sides: Sequence[Side], tasks: int) -> None:
        self._home, self._tasks = home, tasks
        self.rounds: dict[Side, list[Round | None]] = {side: [] for side in sides}
        self.missing: dict[Side, str] = {}

    def turn(self, number: int) -> None:
        """Measure one round of each side, every other turn from the last to the first; a side that has failed stays out."""
        for side, rounds in [*self.rounds.items()][:: -1 if number % 2 else 1]:
            rounds.append(None if side in self.missing else self._round(side))

    def _round(self, side: Side) -> Round | None:
        count = max(FEWEST, round(self._tasks * side.share))
        try:
            found = one_round(side, self._home.python_of(side), count)
        except (GaveUp, OSError, subprocess.TimeoutExpired) as error:
            print(f"{side.title}: {error}", file=sys.stderr)
            self.missing[side] = f"not run: {str(error).splitlines()[0]}"
            return None
        tasks = f"{found.tasks_per_second:,.0f} tasks/s ({found.worker:.0f} + {found.server:.0f} µs)"
        calls = f"{found.calls_per_second:,.0f} calls/s ({found.caller:.0f} + {found.server_for_call:.0f} µs)"
        print(f"{side.title}: {tasks}, {calls}", file=sys.stderr)
        return found


def main() -> None:
    """Install, measure turn by turn, and print the tables."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that workers in sessions of their own are ended too
    sides = [side for side in SIDES if side is GATEHOUSE or not asked.peer or side.adapter in asked.peer]
    home = Venv()
    absent = home.install_each(sides)
    speed = Speed(home, sides, asked.tasks)
    speed.missing = {side: f"not run: {absent[side.adapter]}" for side in sides if side.adapter in absent}
    load = Load()
    for number in range(asked.rounds):
        speed.turn(number)
    table = Table(speed.rounds, speed.missing, home.versions_of(sides, absent))
    where = f"{machine.described()}\n{load.described()}"
    print(f"{table}\n\n{where}")
    command = f"`python -m bench.peers.speed {_options(asked)}`"
    if asked.write:
        asked.write.write_text(f"# The speed of the peers\n\nWritten by {command}.\n\n{table}\n\n{where}\n")
    if asked.page:
        replace_part(asked.page, f"{table.summary()}\n\n{command}.\n{where}")


def _options(asked: argparse.Namespace) -> str:
    return " ".join(
        [f"--rounds {asked.rounds} --tasks {asked.tasks}", *(f"--peer {name}" for name in asked.peer or ())]
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.peers.speed", description=__doc__)
    adapters = list(dict.fromkeys(side.adapter for side in SIDES))
    parser.add_argument("--peer", action="append", choices=adapters, help="only this one, and Gatehouse")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each side, which alternate")
    parser.add_argument("--tasks", type=int, default=2000, help="timed calls of a round")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the tables there as well")
    parser.add_argument("--page", type=Path, metavar="FILE", help="put a short table between the marks of this page")
    return parser.parse_args()


if __name__ == "__main__":
    main()
