"""Two machines, each with a journal of its own, on one Redis."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from state.decision import NeedsResync
from state.journal.journal import Journal
from state.ledger import Ledger
from state.model import Claim
from state.recovery import epoch
from state.recovery.rebuild import Progress
from state.recovery.recover import recover, resync
from state.redis.keys import Keys
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import AGENT, Poster

LEDGER = Keys(AGENT).ledger


@pytest.fixture
def here(poster_with: WithPolicies) -> Poster:
    return poster_with().open()


@pytest.fixture
def there(here: Poster, tmp_path: Path) -> Poster:
    """The same task on another machine."""
    other = Poster(here.redis, here.gate)
    other.ledger = Ledger(here.redis, Journal(tmp_path / "another machine" / "journal"))
    return other.open()


def restart(poster: Poster, **left: str | int) -> None:
    """As far as the ledger can see it: another run, with what is left."""
    poster.redis.hset(LEDGER, mapping={"run": "of yesterday", **left})


def compare(poster: Poster) -> bool:
    return resync(poster.redis, poster.ledger.journal, AGENT)


def publish(poster: Poster, post_id: str) -> None:
    """One effect whose outcome is in the journal, as after a real attempt."""
    claim = poster.claim(poster.register(poster.call(post_id)))
    assert poster.cross(claim)[0] == "sending"
    assert poster.settle(claim, journaled=True) is None


def new_month(poster: Poster) -> None:
    """The journal's file begins anew, with nothing but what is known."""
    journal = poster.ledger.journal
    [file] = journal.own_files()
    file.rename(file.with_name("2026-10.jsonl"))
    journal.append("probe", {}, sync=True)


def test_both_claim_and_settle_as_if_they_were_one(here: Poster, there: Poster) -> None:
    here.publish("one")
    there.publish("two")

    assert here.open().admit("three")
    assert isinstance(there.open().admit("four"), Claim)


def test_the_first_effect_of_an_agent_on_both_at_once_is_one_epoch(
    here: Poster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.redis.flushall()
    shutil.rmtree(here.ledger.journal.folder)
    there = Journal(tmp_path / "another machine" / "journal")
    original = epoch.reopen

    def overtaken(*args: object) -> bool:
        monkeypatch.setattr(epoch, "reopen", original)
        Ledger(here.redis, there).known(AGENT)
        return original(*args)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(epoch, "reopen", overtaken)

    known = here.ledger.known(AGENT)

    assert known.epoch == there.known(AGENT).epoch == here.redis.hget(LEDGER, "epoch")  # type: ignore[union-attr]


def test_who_compares_second_stays_closed(here: Poster, there: Poster) -> None:
    """What the first did meanwhile may be what the second has lost, so a person brings the journals together."""
    restart(here)

    assert compare(here)

    assert not compare(there)
    assert isinstance(there.open().admit("hello"), NeedsResync)


@pytest.mark.parametrize("who", ["here", "there"])
def test_a_recovery_with_both_journals_forgets_nothing_of_either(here: Poster, there: Poster, who: str) -> None:
    """Both files begin with the epoch of last month; later the machines went on in epochs of their own."""
    machines = {"here": here, "there": there}
    mine, other = machines[who], machines["there" if who == "here" else "here"]
    for machine in (mine, other):
        new_month(machine)
    publish(mine, "of mine")
    publish(other, "of the other")
    restart(here)
    assert compare(other)
    publish(other.open(), "of the other, later")
    [copy] = other.ledger.journal.own_files()[-1:]
    shutil.copy(copy, mine.ledger.journal.folder / f"{copy.stem}-other.jsonl")
    here.redis.flushall()

    recover(mine.redis, mine.ledger.journal, lambda _task, _kwargs: [], Progress())

    mine.open()
    for post_id in ("of mine", "of the other", "of the other, later"):
        assert mine.key_of(f"post:feed:{post_id}")["state"] == "done", post_id
        mine.replayed(post_id)


def test_a_copy_from_another_machine_says_nothing_of_how_far_this_one_got(here: Poster, there: Poster) -> None:
    new_month(here)
    here.publish("one")
    restart(here)
    assert compare(there)
    [copy] = there.ledger.journal.own_files()
    before = here.ledger.journal.known(AGENT)

    shutil.copy(copy, here.ledger.journal.folder / f"{copy.stem}-there.jsonl")

    assert Journal(here.ledger.journal.folder).known(AGENT) == before
