"""waiting.lua: the keys that wait for a person, in pages, oldest first."""

from __future__ import annotations

import json

import pytest

from state.recovery.rebuild import Progress
from state.recovery.recover import recover
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import AGENT, Poster


@pytest.fixture
def poster(poster_with: WithPolicies) -> Poster:
    return poster_with().open()


def doubts(poster: Poster, *names: str) -> None:
    for since, name in enumerate(names):
        key = poster.doubt(name).key
        at = 1_700_000_000_000 + since
        poster.redis.hset(poster.n.held, key, json.dumps({"key": key, "state": "unknown", "since": at, "why": "?"}))
        poster.redis.zadd(poster.n.waits, {key: at})


def keys(poster: Poster, start: int = 0, count: int = 50) -> list[str]:
    return [each.key.rpartition(":")[2] for each in poster.ledger.waiting(AGENT, start, count)]


def test_a_page_is_in_the_order_of_age(poster: Poster) -> None:
    doubts(poster, "three", "one", "two")

    assert keys(poster) == ["three", "one", "two"]
    assert keys(poster, 1, 1) == ["one"]
    assert keys(poster, 3) == keys(poster, 0, 0) == []
    assert poster.ledger.count_waiting([AGENT, "other"]) == {AGENT: 3, "other": 0}


def test_one_that_waits_says_all_that_a_person_needs(poster: Poster) -> None:
    claim = poster.doubt(poster.register())

    [one] = poster.ledger.waiting(AGENT)

    assert one == poster.ledger.waiting_one(AGENT, claim.key)
    assert (one.agent, one.key, one.call, one.task) == (AGENT, claim.key, claim.call, poster.gate.name)
    assert (one.state, one.kind, one.why, one.payload) == ("unknown", "doubt", "read timeout", "hello")
    assert one.digest == "5aa762ae383fbb72"  # of the JSON text "hello", quotes included
    assert poster.ledger.waiting_one(AGENT, "post:feed:nothing") is None


def test_a_call_that_took_workers_down_before_its_effect_is_poison(poster: Poster) -> None:
    call = poster.register()
    for _ in range(3):
        poster.reclaim(poster.claim(call), dead=True)

    [one] = poster.ledger.waiting(AGENT)

    assert (one.state, one.kind, one.payload, one.digest) == ("held", "poison", None, "")


def test_what_an_older_version_listed_without_the_order_is_found(poster: Poster) -> None:
    doubts(poster, "one", "two")
    poster.redis.delete(poster.n.waits)

    assert keys(poster) == ["one", "two"]
    assert poster.redis.zcard(poster.n.waits) == 2


def test_what_an_older_version_ended_is_not_shown(poster: Poster) -> None:
    """It removed one and listed another, so the numbers agree."""
    doubts(poster, "one", "two")
    poster.redis.hdel(poster.n.held, "post:feed:one")
    entry = {"key": "post:feed:new", "state": "unknown", "since": 1_800_000_000_000, "why": "?"}
    poster.redis.hset(poster.n.held, "post:feed:new", json.dumps(entry))

    assert keys(poster) == ["two", "new"]


def test_approvals_are_found_among_all_that_waits(poster: Poster) -> None:
    doubts(poster, "one", "two")
    entry = {"key": "post:feed:ask", "state": "held", "since": 1, "why": "asks", "kind": "approval", "expires": 1000}
    poster.redis.hset(poster.n.held, "post:feed:ask", json.dumps(entry))

    [one] = poster.ledger.waiting(AGENT, kind="approval")

    assert (one.key, one.kind, one.expires) == ("post:feed:ask", "approval", "1970-01-01T00:00:01.000Z")
    assert poster.ledger.count_waiting([AGENT], "approval") == {AGENT: 1}
    assert keys(poster) == ["ask", "one", "two"]


def test_every_end_of_a_doubt_takes_the_key_from_the_order(poster: Poster) -> None:
    settled = poster.doubt("settled")
    poster.settle(settled)
    poster.say_not_applied(poster.doubt("said"))

    assert poster.redis.zrange(poster.n.waits, 0, -1) == poster.redis.hkeys(poster.n.held) == []


def test_the_order_is_there_after_the_loss_of_redis(poster: Poster) -> None:
    poster.doubt("one")
    poster.redis.flushall()

    recover(poster.redis, poster.ledger.journal, lambda _task, _kwargs: [], Progress())

    assert poster.redis.zcard(poster.n.waits) == 1
    assert keys(poster) == ["one"]


def test_the_state_file_names_the_oldest_and_says_how_many_there_are(
    poster: Poster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("state.agents.snapshot.MAX_HELD", 2)
    doubts(poster, "one", "two", "three")

    document = poster.document()

    assert [each["key"] for each in document["held"]] == ["post:feed:one", "post:feed:two"]
    assert document["held_total"] == 3
