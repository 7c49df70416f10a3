"""What the scripts count for /metrics, in the step that they take anyway."""

from __future__ import annotations

from state.agents import measures, pause
from tests.scripts.poster import AGENT, Poster

TASK = "tasks.poster.post"


def test_an_attempt_that_settles_is_counted_once_however_often_it_settles(poster: Poster) -> None:
    claim = poster.claim()
    measure = measures.of_attempt(TASK, "done", 20, claim.waited_ms)
    poster.settle(claim, measure=measure)
    poster.settle(claim, measure=measure)

    assert poster.measures().calls == {(TASK, "done"): 1}


def test_the_requests_of_an_attempt_are_counted_with_it(poster: Poster) -> None:
    requests = {measures.of_request("feed", "applied", 30): 2, measures.of_request("other", "unknown", 9000): 1}

    poster.settle(poster.claim(), requests=requests)

    assert poster.measures().requests == {("feed", "applied"): 2, ("other", "unknown"): 1}


def test_a_claim_knows_how_long_its_message_waited(poster: Poster) -> None:
    call = poster.register()
    poster.redis.hincrby(poster.n.call(call.id), "sent_ms", -5000)

    waited = poster.claim(call).waited_ms

    assert waited is not None
    assert 5000 <= waited < 60_000


def test_a_call_without_a_message_waited_for_none(poster: Poster) -> None:
    assert poster.claim(poster.call()).waited_ms is None


def test_a_refusal_is_counted_by_its_task(poster: Poster) -> None:
    pause.pause(AGENT, "ada", "for a test")
    poster.refused("one")

    assert poster.measures().refused == {(TASK, "paused"): 1}


def test_a_lost_claim_is_counted_by_its_task(poster: Poster) -> None:
    claim = poster.claim()

    assert poster.reclaim(claim, dead=True) == "queued"

    assert poster.measures().calls == {(TASK, "lost"): 1}
