"""register.lua: a call is written down before its message is sent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from state.ledger.sweep import GRACE_MS
from state.model import ContentMismatch, Message
from state.options import Options, from_json
from tests.scripts.poster import HOUR, SECOND, Poster


def test_a_new_call_is_registered_as_queued(poster: Poster) -> None:
    call = poster.register(poster.call("hello"))

    written = poster.call_of(call)
    assert (written["state"], written["key"], written["door"]) == ("queued", "post:feed:hello", "test")
    assert written["kwargs"] == call.kwargs
    assert poster.key_of("post:feed:hello")["state"] == "queued"
    assert poster.redis.zscore(poster.n.waiting, call.id) is None


def test_a_registered_call_counts_as_lost_after_the_grace(poster: Poster) -> None:
    before = poster.now()

    call = poster.register()

    assert before + GRACE_MS <= (poster.redis.zscore(poster.n.queued, call.id) or 0) <= poster.now() + GRACE_MS


def test_a_delayed_call_waits_for_its_time(poster: Poster) -> None:
    before = poster.now()

    call = poster.register(delay_ms=HOUR)

    assert poster.call_of(call)["state"] == "waiting"
    assert poster.key_of(call.key)["state"] == "waiting"
    assert before + HOUR <= (poster.redis.zscore(poster.n.waiting, call.id) or 0) <= poster.now() + HOUR
    assert poster.redis.zscore(poster.n.queued, call.id) is None


def test_registering_the_same_call_again_is_known_and_changes_nothing(poster: Poster) -> None:
    call = poster.register()
    before = poster.dump()

    assert not poster.ledger.register(call)

    assert poster.dump() == before


def test_registering_a_call_that_ended_does_not_bring_it_back(poster: Poster) -> None:
    call = poster.register()
    poster.settle(poster.claim(call))
    before = poster.dump()

    assert not poster.ledger.register(call)

    assert poster.dump() == before


def test_a_second_call_of_a_key_does_not_take_it_from_the_first(poster: Poster) -> None:
    first = poster.register(poster.call("hello"))

    second = poster.register(poster.call("hello", text="other words"))

    assert poster.key_of(first.key)["call"] == first.id
    assert poster.key_of(first.key)["fingerprint"] == first.fingerprint
    assert poster.call_of(second)["state"] == "queued"


def test_a_call_of_a_running_or_finished_key_leaves_the_key_alone(poster: Poster) -> None:
    claim = poster.claim("hello")
    running = poster.key_of(claim)
    poster.register(poster.call("hello"))
    assert poster.key_of(claim) == running
    poster.settle(claim)
    done = poster.key_of(claim)

    poster.register(poster.call("hello"))

    assert poster.key_of(claim) == done


def test_a_call_of_a_rejected_key_takes_the_key_over_and_keeps_it_from_expiring(poster: Poster) -> None:
    failed = poster.fail("hello")
    assert 0 < poster.redis.pttl(poster.n.key(failed.key))

    call = poster.register(poster.call("hello", text="other words"))

    assert poster.key_of(failed)["state"] == "queued"
    assert poster.key_of(failed)["call"] == call.id
    assert poster.redis.pttl(poster.n.key(failed.key)) == -1
    assert poster.redis.pttl(poster.n.history(failed.key)) == -1


def test_each_registration_is_told_in_the_story_of_its_key(poster: Poster) -> None:
    call = poster.register()

    [told] = poster.story(call.key)

    assert (told["event"], told["door"], told["call"]) == ("registered", "test", call.id)
    assert abs(told["at"] - poster.now()) < 5 * SECOND


def test_a_key_that_is_asked_for_again_and_again_keeps_a_short_story(poster: Poster) -> None:
    poster.publish("hello")

    for _ in range(250):
        poster.register(poster.call("hello"))

    assert poster.redis.llen(poster.n.history("post:feed:hello")) <= 220


# What a call was made from


def test_a_call_that_is_known_from_the_same_content_is_known(poster: Poster) -> None:
    call = poster.call()
    assert poster.ledger.register(call, digest="d1")
    before = poster.dump()

    assert not poster.ledger.register(call, digest="d1")
    assert not poster.ledger.register(call), "who does not say what it is made from compares its arguments"

    assert poster.dump() == before
    assert poster.call_of(call)["digest"] == "d1"


@pytest.mark.parametrize("first", ["d1", ""])
def test_a_call_that_is_known_from_other_content_is_an_error_and_changes_nothing(poster: Poster, first: str) -> None:
    call = poster.call()
    poster.ledger.register(call, digest=first)
    before = poster.dump()

    with pytest.raises(ContentMismatch, match=call.id):
        poster.ledger.register(call, digest="d2")

    assert poster.dump() == before


def test_a_call_without_a_digest_keeps_no_empty_one(poster: Poster) -> None:
    assert "digest" not in poster.call_of(poster.register())


def test_options_are_kept_with_the_call_and_its_lane_and_followers_are_known(poster: Poster) -> None:
    said = Options(queue="slowq", priority=3, then=[{"task": "poster.post"}])
    call = replace(poster.call(), options=said.as_json())

    poster.register(call)

    assert from_json(poster.call_of(call)["options"]) == said
    assert poster.call_of(call)["lane"] == "slowq/3"
    assert poster.redis.zrange(poster.n.followed, 0, -1) == [call.id]


def test_a_call_without_options_keeps_none(poster: Poster) -> None:
    call = poster.register()

    assert not {"options", "lane"} & poster.call_of(call).keys()
    assert poster.redis.exists(poster.n.followed) == 0


# One id, one call


def test_a_known_id_with_other_arguments_is_an_error_that_says_what_differs(poster: Poster) -> None:
    poster.register(poster.call("ann", id="order-7"))
    other = poster.gate.call((), {"post_id": "bob"}, id="order-7", origin="test")
    before = poster.dump()

    with pytest.raises(ContentMismatch, match=r'order-7 .* post_id: "bob" instead of "ann"'):
        poster.ledger.register(other)

    assert poster.dump() == before


def test_a_known_id_of_another_task_is_an_error_that_names_both(poster: Poster) -> None:
    call = poster.register(poster.call("ann", id="order-7"))

    with pytest.raises(ContentMismatch, match=r"tasks\.poster\.remove instead of tasks\.poster\.post"):
        poster.ledger.register(replace(call, task="tasks.poster.remove"))


def test_a_long_argument_that_differs_at_its_end_is_named(poster: Poster) -> None:
    poster.register(poster.call("p", id="order-7", text="x" * 100 + "a"))
    other = poster.gate.call((), {"post_id": "p", "text": "x" * 100 + "b"}, id="order-7", origin="test")

    with pytest.raises(ContentMismatch, match="text: "):
        poster.ledger.register(other)


def test_a_known_id_that_asks_for_what_the_known_call_lacks_is_an_error_that_names_it(poster: Poster) -> None:
    call = poster.call()
    poster.ledger.register(call)
    before = poster.dump()

    for said, named in [
        (Options(then=[{"task": "poster.post"}]), "link"),
        (Options(otherwise=[{"task": "poster.post"}]), "link_error"),
        (Options(chain=[{"task": "poster.post"}]), "chain"),
        (Options(queue="slowq"), "queue"),
        (Options(priority=3), "priority"),
    ]:
        with pytest.raises(ContentMismatch, match=f"its {named}"):
            poster.ledger.register(replace(call, options=said.as_json()))

    assert poster.dump() == before


def test_a_known_id_with_the_same_followers_is_known_whatever_ids_they_were_given(poster: Poster) -> None:
    def following(number: int) -> Options:
        ids = {"task_id": f"id-{number}", "reply_to": f"reply-{number}"}
        one = {"task": "poster.post", "args": [1], "kwargs": {}, "options": ids}
        group = {"task": "celery.group", "kwargs": {"tasks": [one]}, "options": ids}
        return Options(queue="slowq", then=[group], chain=[one])

    call = poster.call()
    poster.ledger.register(replace(call, options=following(1).as_json()))

    assert not poster.ledger.register(replace(call, options=following(2).as_json()))
    assert not poster.ledger.register(call), "who asks for less gets more than that"


def test_a_call_is_registered_with_its_message_once(poster: Poster) -> None:
    call = poster.call("hello")

    assert poster.ledger.register(call, message=Message("work", "first"))
    assert not poster.ledger.register(call, message=Message("work", "again"))

    assert poster.redis.lrange("work", 0, -1) == ["first"]
    assert poster.call_of(call)["state"] == "queued"


def test_a_message_is_not_sent_of_a_call_that_differs_from_the_registered_one(poster: Poster) -> None:
    call = poster.register()

    with pytest.raises(ContentMismatch):
        poster.ledger.register(replace(call, kwargs='{"post_id":"other"}'), message=Message("work", "other"))

    assert not poster.redis.exists("work")


def test_a_call_stays_registered_if_its_message_cannot_be_sent(poster: Poster) -> None:
    poster.redis.set("work", "not a list")
    call = poster.call("hello")

    assert poster.ledger.register(call, message=Message("work", "first"))
    assert poster.call_of(call)["state"] == "queued"
