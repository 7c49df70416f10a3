"""Two machines, each with a journal of its own, on one Redis that is started anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from state import audit
from state.decision import Claim, Unchecked
from state.journal import Journal
from state.ledger import Ledger
from state.names import Names
from state.rebuild import Progress
from state.recover import recover
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import AGENT, Poster

LEDGER = Names(AGENT).ledger


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
    return audit.audit(poster.redis, poster.ledger.journal, AGENT)


def test_after_a_restart_that_lost_nothing_effects_go_on_on_both(here: Poster, there: Poster) -> None:
    here.publish("one")
    there.publish("two")
    for restarts in ("first", "second"):
        restart(here)

        assert compare(here)
        assert isinstance(there.open().admit(f"there, {restarts}"), Unchecked)
        assert compare(there)

        assert isinstance(there.open().admit(f"there, {restarts}"), Claim)
        assert isinstance(here.open().admit(f"here, {restarts}"), Claim)


def test_who_comes_late_to_two_restarts_goes_on_too(here: Poster, there: Poster) -> None:
    there.publish("two")
    for _ in range(2):
        restart(here)
        assert compare(here)

    assert compare(there)
    assert there.open().claim("three")
    assert here.open().claim("four")


def test_a_machine_whose_claims_were_lost_stays_closed_however_far_the_others_get(here: Poster, there: Poster) -> None:
    """The fences that were lost are given again meanwhile."""
    there.publish("lost")
    restart(here, fence=0)
    assert compare(here)
    here.open()
    for post_id in ("one", "two", "three"):
        here.publish(post_id)

    assert not compare(there)
    assert isinstance(there.open().admit("four"), Unchecked)


def test_a_claim_of_the_other_machine_that_fell_back_before_the_line_is_in_doubt_once_that_machine_looks(
    here: Poster, there: Poster
) -> None:
    call = there.register()
    claim = there.claim(call)
    there.cross(claim)
    here.redis.hset(here.n.key(claim.key), "state", "claimed")
    here.redis.hdel(here.n.key(claim.key), "payload")
    restart(here)
    assert compare(here)

    assert compare(there)

    assert there.key_of(claim)["state"] in {"sending", "unknown"}
    assert there.key_of(claim)["payload"] == '"hello"'


def test_after_a_recovery_the_other_machine_is_closed(here: Poster, there: Poster) -> None:
    """Who rebuilt from one journal knows nothing of the other."""
    restart(here)
    assert compare(here)
    recover(here.redis, here.ledger.journal, lambda _task, _kwargs: [], Progress())

    assert not compare(there)
    assert here.redis.hget(LEDGER, "ended") is None
