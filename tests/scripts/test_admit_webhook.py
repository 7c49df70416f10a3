"""admit.lua: a call that came through a webhook waits for the end of a pause, because its sender does not ask again."""

from __future__ import annotations

from dataclasses import replace

from state.model import Call, Claim
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import DAY, HOUR, MINUTE, SECOND, Poster


def pause(poster: Poster) -> None:
    poster.redis.hset(poster.n.agent_meta, "pause", '{"at": 1, "by": "ada", "why": "looking"}')


def a_webhook(poster: Poster, post_id: str = "hello") -> Call:
    """A registered call of that door; its message, as every message, does not tell the door."""
    call = poster.call(post_id)
    assert poster.ledger.register(replace(call, origin="webhook"))
    return call


def test_it_is_deferred_for_a_minute_and_takes_nothing(poster_with: WithPolicies) -> None:
    poster = poster_with(rate="1/hour", cap="1/day")
    pause(poster)
    call = a_webhook(poster)

    receipt = poster.deferred(call)

    assert (receipt["stage"], receipt["error"], receipt["retry_after"]) == ("paused", "paused", 60)
    assert (receipt["by"], receipt["why"]) == ("ada", "looking")
    due = poster.redis.zscore(poster.n.waiting, call.id) or 0
    assert abs(due - poster.now() - MINUTE) < 5 * SECOND
    assert poster.call_of(call)["state"] == poster.key_of(call.key)["state"] == "waiting"
    assert not list(poster.redis.scan_iter("gate:{poster}:rate:*"))
    assert not list(poster.redis.scan_iter("gate:{poster}:cap:*"))


def test_it_runs_when_the_pause_is_over(poster: Poster) -> None:
    pause(poster)
    call = a_webhook(poster)
    poster.deferred(call)
    poster.redis.hdel(poster.n.agent_meta, "pause")

    assert isinstance(poster.admit(call), Claim)
    assert poster.redis.zscore(poster.n.waiting, call.id) is None


def test_its_claim_says_that_nobody_asks_again(poster: Poster) -> None:
    assert poster.claim(a_webhook(poster)).waits
    assert not poster.claim(poster.register(poster.call("other"))).waits


def test_a_long_pause_is_counted_and_told_once(poster: Poster) -> None:
    pause(poster)
    call = a_webhook(poster)

    for _ in range(250):
        poster.deferred(call)

    assert [told["event"] for told in poster.story(call.key)] == ["registered", "deferred"]
    assert poster.metrics() == {"total_deferred": 1}


def test_it_waits_no_longer_than_its_age_allows(poster_with: WithPolicies) -> None:
    poster = poster_with(max_age="1d")
    pause(poster)
    call = a_webhook(poster)
    poster.age_call(call, DAY - HOUR)
    poster.deferred(call)
    poster.age_call(call, HOUR - 30 * SECOND)

    assert poster.refused(call)["stage"] == "paused"
    assert poster.call_of(call)["state"] == "rejected"
    assert poster.redis.zscore(poster.n.waiting, call.id) is None


def test_calls_of_other_doors_are_refused_as_before(poster: Poster) -> None:
    pause(poster)

    assert poster.refused(poster.register())["stage"] == "paused"
    assert poster.refused("never registered")["stage"] == "paused"


def test_a_pause_gives_no_slot_of_the_rate_so_that_those_who_waited_for_it_come_one_after_the_other(
    poster_with: WithPolicies,
) -> None:
    poster = poster_with(rate="1/hour")
    pause(poster)
    calls = [a_webhook(poster, post_id) for post_id in ("one", "two", "three")]
    for call in calls:
        poster.deferred(call)
    poster.redis.hdel(poster.n.agent_meta, "pause")

    poster.claim(calls[0])
    waits = [poster.deferred(call)["retry_after"] for call in calls[1:]]

    assert [round(wait / 3600) for wait in waits] == [1, 2]
