"""The journal is taken away under the workers, and Redis loses its data later."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.torture.arena import Arena
from tests.torture.faults.losses import recover
from tests.torture.faults.redis import HALF, hold_both
from tests.torture.scenario import fault

#: Seconds until a call is due that is asked for before the journal is gone; it must wait through all that follows.
COUNTDOWN = 15
#: Asks for calls that are due later.
ASK_LATER = """
for name in names:
    app.send_task("torturer.strike", kwargs={"n": name}, task_id="later-" + name, countdown=countdown)
answer = True
"""


def remove_folder(journal: Path) -> None:
    shutil.rmtree(journal)


def remove_newest(journal: Path) -> None:
    max(journal.glob("*.jsonl")).unlink()


def empty_newest(journal: Path) -> None:
    max(journal.glob("*.jsonl")).write_bytes(b"")


LOSSES: tuple[Callable[[Path], None], ...] = (remove_folder, remove_newest, empty_newest)


@fault("F39", "the journal is removed while calls wait, begins anew, and then Redis loses everything", short=3, long=9)
def journal_begun_anew(arena: Arena, rounds: int) -> None:
    """What was accepted stands in Redis only, until the new journal has taken it over."""
    arena.house.hire(2)
    for number in range(rounds):
        arena.wait_standing(arena.ask(HALF), "done")
        names = arena.producer.names(HALF)
        arena.producer.write_down("strike", names)
        arena.producer.run(ASK_LATER, names=names, countdown=COUNTDOWN)
        hold_both(arena)
        with arena.fault():
            LOSSES[number % len(LOSSES)](arena.house.state_dir / "journal")
        arena.let_go()
        arena.wait_standing(arena.ask(1), "done")
        arena.valkey.client().flushall()
        recover(arena)
        arena.rest(90)
