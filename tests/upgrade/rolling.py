"""One way between two versions under load: the new beside the old, the old ones out one by one, and nothing stops."""

from __future__ import annotations

from pathlib import Path

from tests.harness import Process, until
from tests.torture.arena import Arena
from tests.torture.house import ready, terminate, wait_dead
from tests.torture.watch import standings
from tests.upgrade.ticks import Ticks, beat
from tests.upgrade.traffic import Traffic

#: Pool and attempts at once of the workers of each version.
WORKERS = (("threads", 8), ("threads", 8), ("prefork", 3))


class Crew:
    """The processes of one version, with the load that its own code makes."""

    def __init__(self, arena: Arena, root: Path, run: int) -> None:
        self._arena, self._root = arena, root
        self.first_run = self._run = 10 * run
        starting = [arena.house.begin_worker(pool, concurrency, root=root) for pool, concurrency in WORKERS]
        self.beat = beat(arena, root)
        self.workers = ready(*starting)
        self.traffic = Traffic(arena, root, self._run)

    def ran(self, other: Crew) -> int:
        """Return how many effects were sent by these workers for calls of the other version."""
        senders, runs = {str(worker.pid) for worker in self.workers}, {str(other.first_run), str(other.first_run + 1)}
        return sum(
            row["headers"]["x-sender"] in senders and row["key"].partition(":")[2].partition("-")[0] in runs
            for row in self._arena.judge.rows()
        )

    def ask_again(self) -> None:
        """Begin another load."""
        self._run += 1
        self.traffic = Traffic(self._arena, self._root, self._run)

    def wait_sending(self, worker: Process, deadline: float = 60.0) -> None:
        """Wait until a worker has sent a request that has no answer yet."""
        sender = str(worker.pid)
        until(
            lambda: any(row["sender"] == sender for row in self._arena.judge.open()),
            deadline,
            f"a request of {worker.name} at the judge",
        )


def roll(arena: Arena, old: Crew, new: Crew, ticks: Ticks) -> None:
    """Take the old workers and their beat out, one by one, while the new ones run and the code of both versions asks for more."""
    dying, *leaving = old.workers
    for worker in (*new.workers, dying):
        new.wait_sending(worker)
    with arena.fault(dying):
        dying.kill9()
    new.traffic.wait(2)
    with arena.fault():
        old.beat.kill9()
    ticks.go_back()
    for worker in leaving:
        old.wait_sending(worker)
        with arena.fault(worker):
            terminate(worker)
            wait_dead(worker, 30)
        new.traffic.wait(2)
    new.traffic.repeat(old.traffic)
    old.traffic.close()
    new.traffic.wait(2)
    new.traffic.close()


def settle(arena: Arena, ticks: Ticks) -> None:
    """Wait until every slot has run and every key is at rest, and be the person who says what became of the rest."""
    expected = ticks.until_now()
    until(lambda: set(expected) <= set(arena.judge.counts()), 120, "every slot to have run")
    arena.rest(120)
    _decide(arena)
    arena.rest(120)


def _decide(arena: Arena) -> None:
    """Look at the judge for each key in doubt, and say what became of it."""
    counts = arena.judge.counts()
    states = standings(arena.watch.client, list(arena.producer.asked))
    doubtful = [key for key, state in states.items() if state in {"unknown", "held"}]
    for key in doubtful:
        word = "--applied" if counts.get(key) else "--not-applied"
        arena.producer.gate("resolve", key, word, "--why", "the judge's table says so")
    arena.wait_standing(doubtful, "done")
