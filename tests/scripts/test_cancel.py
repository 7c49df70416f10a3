"""cancel.lua: a person takes back a call that has not begun."""

from __future__ import annotations

import pytest

from state.decision import Refusal
from tests.scripts.poster import AGENT, HOUR, Poster


def cancel(poster: Poster, call: str) -> bool:
    return poster.cancel(call, "ada")


@pytest.mark.parametrize("delay_ms", [0, HOUR])
def test_a_call_that_has_not_begun_is_cancelled_and_never_sent(poster: Poster, delay_ms: int) -> None:
    call = poster.register(delay_ms=delay_ms)

    assert cancel(poster, call.id)

    assert poster.call_of(call)["state"] == "cancelled"
    assert poster.key_of(call.key)["state"] == "cancelled"
    assert poster.redis.zcard(poster.n.queued) == poster.redis.zcard(poster.n.waiting) == 0
    assert list(poster.ledger.due(AGENT, [poster.gate.name], lambda _queue: True)) == []
    told = poster.story(call.key)[-1]
    assert (told["event"], told["by"]) == ("cancelled", "ada")


def test_the_message_of_a_cancelled_call_runs_nothing(poster: Poster) -> None:
    call = poster.register()
    cancel(poster, call.id)

    decision = poster.admit(call)

    assert isinstance(decision, Refusal)
    assert (decision.again, decision.receipt["error"], decision.receipt["by"]) == (True, "cancelled", "ada")


def test_the_key_of_a_cancelled_call_is_refused_to_others(poster: Poster) -> None:
    cancel(poster, poster.register(poster.call("hello")).id)

    assert poster.refused("hello")["error"] == "cancelled"


def test_a_call_that_waits_behind_another_of_its_key_is_cancelled_alone(poster: Poster) -> None:
    first, second = poster.register(poster.call("hello")), poster.register(poster.call("hello"))

    assert cancel(poster, second.id)

    assert poster.key_of(first.key)["state"] == "queued"
    assert poster.claim(first)


@pytest.mark.parametrize("stands", ["claimed", "sending", "done", "gone"])
def test_a_call_that_has_begun_is_kept(poster: Poster, stands: str) -> None:
    call = poster.call()
    if stands != "gone":
        claim = poster.claim(call)
    if stands == "sending":
        poster.cross(claim)
    if stands == "done":
        poster.settle(claim)
    before = poster.dump()

    assert not cancel(poster, call.id)

    assert poster.dump() == before


def test_cancelling_increases_the_revision(poster: Poster) -> None:
    call = poster.register()
    before = poster.revision()

    cancel(poster, call.id)

    assert poster.revision() > before
