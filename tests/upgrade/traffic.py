"""Load that never stops: calls in a steady flow, from a process of one version, until it is closed."""

from __future__ import annotations

import threading
from pathlib import Path

from tests.harness import until
from tests.torture.arena import Arena
from tests.torture.producer import Producer

#: How many calls of each task one round asks for.
ROUND = {"strike": 3, "sure": 3, "once": 3, "steps": 2, "chore": 3}
#: Calls that may be open before nobody asks for more: a load, and not a backlog that outlasts the upgrade.
MAX_OPEN = 120
#: How many calls of each task are repeated by the other version.
AGAIN = 20
#: Seconds between two rounds.
PAUSE = 0.02


class Traffic:
    """`rounds` counts those that were accepted; the keys are among those that the arena judges."""

    def __init__(self, arena: Arena, root: Path, run: int) -> None:
        self._producer = producer_of(arena, root, run)
        self._arena, self._root, self.run = arena, root, run
        self.rounds = 0
        self.problem: BaseException | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"traffic {run}", daemon=True)
        self._thread.start()

    def wait(self, more: int, deadline: float = 60.0) -> None:
        """Wait until so many more rounds were accepted."""
        enough = self.rounds + more

        def are_enough() -> bool:
            self._complain()
            return self.rounds >= enough

        until(are_enough, deadline, f"{more} more rounds of calls to be accepted")

    def repeat(self, other: Traffic) -> None:
        """Ask again for what the other version was asked for first, with a process of its own."""
        again = producer_of(self._arena, self._root, -1)
        try:
            for task in ROUND:
                prefix = f"{task}:{other.run}-"
                names = [key.partition(":")[2] for key in list(self._arena.producer.asked) if key.startswith(prefix)]
                again.ask_for(task, names[:AGAIN])
        finally:
            again.close()

    def close(self) -> None:
        """Ask for nothing more, and raise what went wrong."""
        self._over.set()
        self._thread.join(120)
        self._producer.close()
        self._complain()

    def _complain(self) -> None:
        if self.problem:
            raise AssertionError(f"the traffic ended: {self.problem!r}") from self.problem

    def _run(self) -> None:
        try:
            while not self._over.wait(PAUSE):
                if len(self._arena.producer.asked) - len(self._arena.watch.resting) > MAX_OPEN:
                    continue
                for task, n in ROUND.items():
                    self._producer.ask(task, n)
                self.rounds += 1
        except BaseException as error:  # noqa: BLE001 - it is raised by whoever waits
            self.problem = error


def producer_of(arena: Arena, root: Path, run: int) -> Producer:
    """Return who asks with the code of one version; what it asks for counts among the arena's."""
    house = arena.house
    ordinary = house.env, house.root
    house.env = {**house.env, "PYTHONPATH": f"{root}:{house.env['PYTHONPATH']}", "REDIS_URL": arena.valkey.url}
    house.root = root
    try:
        made = Producer(house, run)
    finally:
        house.env, house.root = ordinary
    made.asked = arena.producer.asked
    return made
