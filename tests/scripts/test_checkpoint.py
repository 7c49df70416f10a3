"""checkpoint.lua: what a provider answered to the first of two steps is kept for every later attempt of the key."""

from __future__ import annotations

from dataclasses import replace

import pytest

from state.model import Claim
from state.recovery.rebuild import Progress
from state.recovery.recover import recover
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import Poster


@pytest.fixture
def poster(poster_with: WithPolicies) -> Poster:
    return poster_with().open()


def keep(poster: Poster, claim: Claim, value: str = "container 17") -> bool:
    return poster.ledger.save_checkpoint(claim, "container", value, "", 0)


@pytest.mark.parametrize("line", ["before", "behind"])
def test_a_holder_keeps_a_point_on_either_side_of_the_line(poster: Poster, line: str) -> None:
    claim = poster.claim()
    if line == "behind":
        poster.cross(claim)

    assert keep(poster, claim)

    assert poster.ledger.checkpoint(claim, "container") == "container 17"
    assert poster.ledger.checkpoint(claim, "another") is None


def test_a_later_attempt_finds_what_an_earlier_one_kept(poster: Poster) -> None:
    call = poster.register()
    first = poster.claim(call)
    keep(poster, first)
    poster.settle(first, "failed", retry_ms=1)

    assert poster.ledger.checkpoint(poster.claim(call), "container") == "container 17"


def test_a_point_is_kept_anew_by_a_later_attempt(poster: Poster) -> None:
    call = poster.register()
    first = poster.claim(call)
    keep(poster, first)
    poster.settle(first, "failed", retry_ms=1)
    second = poster.claim(call)

    keep(poster, second, "container 18")

    assert poster.ledger.checkpoint(second, "container") == "container 18"


@pytest.mark.parametrize("line", ["before", "behind"])
def test_a_point_is_in_the_journal_and_survives_the_loss_of_redis(poster: Poster, line: str) -> None:
    claim = poster.claim(poster.register())
    if line == "behind":
        poster.cross(claim)
    keep(poster, claim)
    [record] = poster.records("point")
    assert (record["key"], record["name"], record["value"], record["fence"]) == (
        claim.key,
        "container",
        "container 17",
        claim.fence,
    )
    poster.redis.flushall()

    recover(poster.redis, poster.ledger.journal, lambda _task, _kwargs: [], Progress())

    assert poster.ledger.checkpoint(claim, "container") == "container 17"


def test_a_journal_that_begins_anew_takes_over_what_redis_kept(poster: Poster) -> None:
    claim = poster.claim(poster.register())
    poster.cross(claim)
    keep(poster, claim)
    poster.settle(claim, "unknown")
    for path in poster.ledger.journal.files():
        path.unlink()
    poster.open()
    poster.redis.flushall()

    recover(poster.redis, poster.ledger.journal, lambda _task, _kwargs: [], Progress())

    assert poster.ledger.checkpoint(claim, "container") == "container 17"


@pytest.mark.parametrize("how", ["reclaimed", "another owner", "settled", "unknown", "gone"])
def test_who_lost_the_claim_keeps_nothing(poster: Poster, how: str) -> None:
    call = poster.register()
    claim = poster.claim(call)
    match how:
        case "reclaimed":
            poster.reclaim(claim, dead=True)
        case "another owner":
            poster.reclaim(claim, dead=True)
            poster.claim(call)
        case "settled":
            poster.settle(claim)
        case "unknown":
            poster.cross(claim)
            poster.settle(claim, "unknown")
        case "gone":
            poster.redis.flushall()
    before = poster.dump()

    assert not keep(poster, claim)

    assert poster.dump() == before


def test_an_old_fence_of_the_same_owner_keeps_nothing(poster: Poster) -> None:
    call = poster.register()
    old = poster.claim(call, owner="me/1")
    poster.reclaim(old, dead=True)
    new = poster.claim(call, owner="me/1")

    assert not keep(poster, old)
    assert poster.ledger.checkpoint(new, "container") is None


def test_another_owner_under_the_same_fence_keeps_nothing(poster: Poster) -> None:
    """After a loss of Redis fences may be given twice."""
    claim = poster.claim()

    assert not keep(poster, replace(claim, owner="somebody/1"))
    assert poster.ledger.checkpoint(claim, "container") is None


def test_a_task_without_an_effect_keeps_points_too_and_journals_none(poster_with: WithPolicies) -> None:
    poster = poster_with(effect=False)
    claim = poster.claim()

    assert keep(poster, claim)

    assert poster.ledger.checkpoint(claim, "container") == "container 17"
    assert poster.records("point") == []
