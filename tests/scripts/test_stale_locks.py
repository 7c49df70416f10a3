"""Lock files of dead processes: the proof of a death stays for as long as a claim or a key in doubt needs it."""

from __future__ import annotations

import os
import time

from state.files import lock_file
from state.ledger import owner
from tests.scripts.poster import AGENT, Poster


def make_old(process: str) -> None:
    """Set the time of a process's lock file before the time in which it may not be locked yet."""
    when = time.time() - owner.YOUNG - 60
    os.utime(owner.folder() / f"{process}.lock", (when, when))


def locks() -> set[str]:
    """Return the names of the processes that have a lock file."""
    return {file.stem for file in owner.folder().glob("*.lock")}


def test_a_lock_that_no_claim_needs_is_removed_with_its_list_of_abandoned_owners(poster: Poster) -> None:
    owner.abandon(poster.a_dead_process("ended"))
    make_old("ended")

    poster.ledger.remove_stale_locks([AGENT])

    assert list(owner.folder().iterdir()) == []


def test_the_lock_of_a_running_claim_and_of_a_key_in_doubt_stays_however_old_it_is(poster: Poster) -> None:
    poster.claim(poster.register(), owner=poster.a_dead_process("claimed"))
    doubted = poster.claim("other", owner=poster.a_dead_process("doubted"))
    poster.cross(doubted)
    assert poster.reclaim(doubted, dead=True) == "unknown"
    make_old("claimed")
    make_old("doubted")

    poster.ledger.remove_stale_locks([AGENT])

    assert locks() == {"claimed", "doubted"}
    assert owner.is_dead(doubted.owner), "a look-up still has its proof"


def test_a_lock_of_a_living_process_and_a_young_one_stay(poster: Poster) -> None:
    poster.a_dead_process("young")
    with lock_file(owner.folder() / "living.lock", wait=0):
        make_old("living")

        poster.ledger.remove_stale_locks([AGENT])

        assert locks() == {"living", "young"}
