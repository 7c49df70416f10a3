"""What the version before makes of data that it cannot read: a sentence, and nothing is sent."""

from __future__ import annotations

import sys
from pathlib import Path

from state import redis_format
from tests.harness import Process, until
from tests.harness.install import ROOT
from tests.torture.arena import Arena
from tests.torture.house import ready
from tests.upgrade.rolling import Crew
from tests.upgrade.traffic import producer_of

IN_REDIS = (
    "Redis holds data of format 2, and this version of Gatehouse reads up to format 1; start the version that wrote it"
)
IN_JOURNAL = (
    "has records of format 2, and this version of Gatehouse reads up to format 1; effects are closed: start the version"
)


def is_refused(arena: Arena, older: Crew, before: Path) -> None:
    """Let this version use what the version before does not know, beside its workers. Raises AssertionError."""
    newer = producer_of(arena, ROOT, 80)
    try:
        newer.gate("autonomy", "torturer", "ask", "--why", "to see who knows it")
        for process in (*older.workers, older.beat):
            until(lambda process=process: not process.alive, 30, f"{process.name} to end")  # type: ignore[misc]
            assert IN_REDIS in process.output, f"{process.name} ended without the sentence"
        command = _gate(arena, before, "held")
        command.wait(60)
        assert (command.returncode, command.output.startswith(IN_REDIS)) == (1, True), command.output
        newer.gate("autonomy", "torturer", "act", "--why", "seen")
        _is_refused_in_the_journal(arena, before)
        newer.gate("recover")
        assert arena.valkey.client().get(redis_format.key()) == "2"
        ready(arena.house.begin_worker(root=ROOT))
        arena.wait_standing(newer.ask("strike", 3), "done")
    finally:
        newer.close()


def _is_refused_in_the_journal(arena: Arena, before: Path) -> None:
    """A Redis that was emptied says nothing of its format any more; the journal does."""
    arena.valkey.client().flushall()
    sent = arena.judge.arrived()
    [worker] = ready(arena.house.begin_worker(root=before))
    [key] = arena.producer.ask("strike", 1)
    closed = worker.wait_for("effects are closed", 60)
    assert IN_JOURNAL in closed["why"], closed
    worker.kill9()
    assert arena.judge.arrived() == sent
    arena.producer.forget([key])


def _gate(arena: Arena, root: Path, *args: str) -> Process:
    """A command of one version."""
    return arena.house.start_in("gate", [sys.executable, "-m", "celery", "-A", "workers", "gate", *args], {}, root)
