"""begin_effect.lua: the effect of a key begins once, with the payload that was frozen first."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gatekeeper.run.attempt import Attempt
from gatekeeper.run.effect import effect
from gatekeeper.run.pipeline import run_attempt
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import Poster, event, sure


def test_a_holder_crosses_the_line_with_its_payload(poster: Poster) -> None:
    claim = poster.claim()

    answer = poster.cross(claim, '{"text": "hello"}')

    assert answer == ["sending", '{"text": "hello"}']
    assert poster.key_of(claim)["state"] == "sending"
    assert poster.key_of(claim)["payload"] == '{"text": "hello"}'
    assert poster.call_of(claim)["state"] == "sending"


def test_beginning_an_effect_tells_what_the_attempt_did_so_far(poster: Poster) -> None:
    claim = poster.claim()

    poster.cross(claim, "{}", [event("claimed"), event("http"), event("sending")])

    assert [told["event"] for told in poster.story(claim.key)][-3:] == ["claimed", "http", "sending"]


def test_beginning_an_effect_twice_gives_the_same_payload_and_tells_once(poster: Poster) -> None:
    claim = poster.claim()
    poster.cross(claim, '"first"')
    before = poster.dump()

    again = poster.cross(claim, '"second"')  # the answer to the first was lost on the way

    assert again == ["sending", '"first"']
    assert poster.dump() == before


def test_what_may_have_been_sent_a_later_attempt_gets_byte_for_byte(poster: Poster) -> None:
    first = '{"text":  "spaces and ümlauts stay",\n "n": 1.0}'
    claim = poster.claim("hello")
    poster.cross(claim, first)
    poster.settle(claim, "unknown")
    poster.say_not_applied(claim)

    assert poster.cross(poster.claim("hello"), '{"text": "another idea"}') == ["sending", first]
    assert poster.key_of(claim)["payload"] == first


def test_beginning_an_effect_increases_the_revision(poster: Poster) -> None:
    claim = poster.claim()
    before = poster.revision()

    poster.cross(claim)

    assert poster.revision() > before


def test_a_claim_that_was_reclaimed_cannot_cross(poster: Poster) -> None:
    claim = poster.claim()
    poster.reclaim(claim, dead=True)
    before = poster.dump()

    assert poster.cross(claim) == ["lost", "queued"]
    assert poster.dump() == before


def test_a_claim_that_passed_to_another_owner_cannot_cross(poster: Poster) -> None:
    call = poster.register()
    old = poster.claim(call)
    poster.reclaim(old, dead=True)
    new = poster.claim(call)

    assert poster.cross(old) == ["lost", "claimed"]
    assert poster.cross(new)[0] == "sending"


def test_an_old_fence_of_the_same_owner_cannot_cross(poster: Poster) -> None:
    call = poster.register()
    old = poster.claim(call, owner="me/1")
    poster.reclaim(old, dead=True)
    poster.claim(call, owner="me/1")

    assert poster.cross(old)[0] == "lost"


def test_another_owner_under_the_same_fence_cannot_cross(poster: Poster) -> None:
    """After a loss of Redis fences may be given twice."""
    claim = poster.claim()
    call = poster.call("hello", id=claim.call)

    answer = poster.ledger.begin_effect(
        call, replace(claim, owner="somebody/1"), poster.scope_of(call), '"x"', [event("x")]
    )

    assert answer == ["lost", "claimed"]
    assert "payload" not in poster.key_of(claim)


@pytest.mark.parametrize("end", ["done", "unknown", "failed"])
def test_a_settled_attempt_cannot_cross_again(poster: Poster, end: str) -> None:
    claim = poster.claim()
    poster.cross(claim)
    poster.settle(claim, end)  # type: ignore[arg-type]

    answer = poster.cross(claim)

    assert answer == ["lost", {"failed": "rejected"}.get(end, end)]


def test_a_key_that_is_gone_cannot_be_crossed(poster: Poster) -> None:
    claim = poster.claim()
    poster.redis.flushall()

    assert poster.cross(claim) == ["lost", "gone"]
    assert poster.redis.keys("*") == []


def test_an_agent_that_was_paused_meanwhile_stops_at_the_line(poster: Poster) -> None:
    claim = poster.claim()
    pause = {"at": 1, "by": "ada", "why": "looking"}
    poster.redis.hset(poster.n.agent_meta, "pause", json.dumps(pause))

    word, told = poster.cross(claim)

    assert (word, json.loads(told)) == ("paused", pause)
    assert poster.key_of(claim)["state"] == "claimed"
    assert "payload" not in poster.key_of(claim)


@pytest.mark.parametrize("tried_before", [False, True])
def test_a_pause_at_the_line_only_delays_a_call_for_which_nobody_asks_again(poster: Poster, tried_before: bool) -> None:
    def paused_meanwhile(**_: str) -> None:
        poster.redis.hset(poster.n.agent_meta, "pause", json.dumps({"at": 1, "by": "ada", "why": "looking"}))
        with effect(payload="hello"):
            raise AssertionError("inside the effect")

    call = poster.register()
    if tried_before:
        poster.settle(poster.claim(call), "failed", retry_ms=1)
    claim = poster.claim(call)
    poster.gate.body = paused_meanwhile
    attempt = Attempt(poster.gate, {"post_id": "hello"}, call, claim, poster.ledger, poster.scope_of(call))

    answer = run_attempt(attempt)

    assert (answer["error"], answer["stage"]) == ("paused", "line")
    assert poster.call_of(call)["state"] == ("waiting" if tried_before else "rejected")


def test_who_was_taken_for_sending_before_the_answer_came_has_not_sent(poster: Poster) -> None:
    """Its owner asks again, and knows that nothing went out: it may give the key back."""
    claim = poster.claim(poster.register())
    poster.cross(claim, '"the first"')
    poster.end_lease(claim)
    assert poster.reclaim(claim, dead=False) == "unknown"
    before = poster.dump()

    assert poster.cross(claim, '"the second"') == ["closed"]
    assert poster.dump() == before

    assert poster.settle(claim, "refused", retry_ms=1) is None
    assert poster.key_of(claim)["state"] == "waiting"
    assert poster.marks() == {}
    assert poster.claim(poster.call("hello", id=claim.call)).payload == "", "it says itself that it sent nothing"


def test_beginning_an_effect_leaves_a_mark_with_the_fence(poster: Poster) -> None:
    claim = poster.claim()

    poster.cross(claim)

    assert poster.marks() == {claim.key: str(claim.fence)}


@pytest.mark.parametrize("how", ["reclaimed", "paused"])
def test_who_does_not_cross_leaves_no_mark(poster: Poster, how: str) -> None:
    claim = poster.claim()
    if how == "paused":
        poster.redis.hset(poster.n.agent_meta, "pause", '{"at": 1, "by": "ada", "why": "looking"}')
    else:
        poster.reclaim(claim, dead=True)

    assert poster.cross(claim)[0] != "sending"

    assert poster.marks() == {}


def test_beginning_an_effect_keeps_with_the_key_how_it_can_be_looked_up(poster_with: WithPolicies) -> None:
    poster = poster_with(effect=sure(drain="1m", absences=3, every="10s"))
    claim = poster.claim()

    poster.cross(claim)

    assert json.loads(poster.key_of(claim)["verify"]) == {"drain_ms": 60_000, "every_ms": 10_000, "absences": 3}


def test_an_effect_that_cannot_be_looked_up_keeps_nothing_of_the_kind(poster: Poster) -> None:
    claim = poster.claim()

    poster.cross(claim)

    assert "verify" not in poster.key_of(claim)


def test_a_claim_that_was_held_as_poison_cannot_cross(poster: Poster) -> None:
    call = poster.register()
    for _ in range(3):
        claim = poster.claim(call)
        poster.reclaim(claim, dead=True)

    assert poster.cross(claim) == ["lost", "held"]


def test_the_payload_of_an_earlier_attempt_comes_with_the_claim(poster: Poster) -> None:
    """So that the journal's intent carries what is sent."""
    claim = poster.claim("hello")
    poster.cross(claim, '"the first"')
    poster.settle(claim, "unknown")
    poster.say_not_applied(claim)

    assert poster.claim("hello").payload == '"the first"'
