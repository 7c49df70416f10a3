"""A long history keeps its oldest and its newest events; one event between them counts those that were left out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gatekeeper.run import attempt as attempt_module
from gatekeeper.run.attempt import Attempt
from state.agents import history
from state.constants import HISTORY_NEWEST as NEWEST
from state.constants import HISTORY_OLDEST as BEGINNING
from state.constants import HISTORY_SLACK as SLACK
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import AGENT, Poster, event
from workers.commands.explain import _text

KEY = "post:feed:hello"


@pytest.fixture
def poster(poster_with: WithPolicies) -> Poster:
    return poster_with().open()


def told(poster: Poster) -> list[dict[str, Any]]:
    return poster.story(KEY)


def numbered(poster: Poster, number: int) -> None:
    """One attempt that fails; its event carries the number."""
    call = poster.call()
    claim = poster.claim(call)
    poster.ledger.begin_effect(
        call, claim, poster.scope_of(call), '"hello"', [json.dumps({"at": number, "event": "sending"})]
    )
    poster.settle(claim, "failed", retry_ms=1, journaled=True)


def whole(events: list[dict[str, Any]]) -> int:
    """How many events were told, those that were left out among them."""
    return sum(each["events"] if each["event"] == "left out" else 1 for each in events)


def test_the_newest_event_is_told_however_long_the_story_is(poster: Poster) -> None:
    poster.register()
    attempts = 300
    for number in range(attempts):
        numbered(poster, number)

    events = told(poster)

    assert events[0]["event"] == "registered"
    assert [each["at"] for each in events if each["event"] == "sending"][-1] == attempts - 1
    assert events[-1]["event"] == "failed"
    assert len(events) <= BEGINNING + 1 + NEWEST + SLACK


def test_one_event_says_how_many_were_left_out(poster: Poster) -> None:
    poster.register()
    attempts = 300
    for number in range(attempts):
        numbered(poster, number)

    events = told(poster)

    assert [number for number, each in enumerate(events) if each["event"] == "left out"] == [BEGINNING]
    assert whole(events) == 1 + 3 * attempts, "each call arrives, sends and fails"


@pytest.mark.parametrize("script", ["register", "cancel", "refused", "reclaimed", "settled"])
def test_whatever_is_told_of_a_key_with_a_long_story_is_there(poster: Poster, script: str) -> None:
    """Each script appends in the same way."""
    name = poster.n.history(KEY)
    call = poster.register()
    claim = poster.claim(call)
    poster.register(poster.call())  # a list is there from the second event on
    poster.redis.rpush(name, *[event(f"e{number}") for number in range(BEGINNING + NEWEST + SLACK)])
    match script:
        case "register":
            poster.register(poster.call())
            expected = "registered"
        case "cancel":
            other = poster.register(poster.call())
            poster.cancel(other.id, "revoke")
            expected = "cancelled"
        case "reclaimed":
            poster.reclaim(claim, dead=True)
            expected = "queued"
        case "refused":
            poster.admit(poster.register(poster.call()), alive=claim.owner)
            expected = "refused"
        case _:
            poster.settle(claim, "failed")
            expected = "failed"

    events = told(poster)

    assert events[-1]["event"] == expected
    assert events[BEGINNING]["event"] == "left out"


def test_an_attempt_that_tells_much_tells_its_end_too(poster: Poster) -> None:
    call = poster.register()
    attempt = Attempt(poster.gate, {"post_id": "hello"}, call, poster.claim(call), poster.ledger, poster.scope_of(call))

    for number in range(1000):
        attempt.append_event("http", number=number)
    attempt.append_event("done")

    events = [json.loads(text) for text in attempt.take_events()]
    assert len(events) == attempt_module.MAX_EVENTS
    assert [each["number"] for each in events[:3]] == [0, 1, 2]
    assert events[-1]["event"] == "done"
    assert events[attempt_module.FIRST_EVENTS]["event"] == "left out"
    assert whole(events) == 1001


def test_an_attempt_counts_anew_once_its_events_are_taken(poster: Poster) -> None:
    call = poster.register()
    attempt = Attempt(poster.gate, {"post_id": "hello"}, call, poster.claim(call), poster.ledger, poster.scope_of(call))
    for number in range(200):
        attempt.append_event("http", number=number)
    attempt.take_events()

    attempt.append_event("done")

    assert [json.loads(text)["event"] for text in attempt.take_events()] == ["done"]


def test_what_an_attempt_left_out_counts_when_the_story_is_shortened(poster: Poster) -> None:
    name = poster.n.history(KEY)
    poster.register()
    poster.redis.rpush(name, *[event(f"e{number}") for number in range(BEGINNING)])
    poster.redis.rpush(name, json.dumps({"at": 0, "event": "left out", "events": 41}))
    poster.redis.rpush(name, *[event(f"n{number}") for number in range(NEWEST + SLACK)])

    poster.register(poster.call())

    assert whole(told(poster)) == 1 + BEGINNING + 41 + NEWEST + SLACK + 1


def test_the_command_shows_where_events_are_missing(poster: Poster) -> None:
    poster.register()
    for number in range(200):
        numbered(poster, number)

    found = history.read_history([AGENT], KEY)

    assert found is not None
    text = _text(found, verbose=False, whole=True)
    assert "left out" in text
    assert f"events={next(each['events'] for each in told(poster) if each['event'] == 'left out')}" in text
