"""Not yet, and once more: deferral and retry go through the register, never through Celery's countdown."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from state.redis.keys import Keys
from tests.effects.client import EffectServer
from tests.harness import Install, until
from tests.harness.shell import Shell

#: A time that the gate corrects to the longest that its rule allows from now.
FAR_AHEAD = 1 << 50


@pytest.fixture(scope="module", autouse=True)
def running(house: Install) -> None:
    house.worker(concurrency=4)


def call_record(store: redis.Redis, agent: str, call: str) -> dict[str, str]:
    found: dict[str, str] = store.hgetall(Keys(agent).call(call))
    return found


def stands(store: redis.Redis, agent: str, key: str) -> str:
    return str(store.hget(Keys(agent).key(key), "state"))


# Deferral


def test_calls_above_the_rate_run_later_each_once_and_in_one_attempt(
    house: Install, shell: Shell, store: redis.Redis
) -> None:
    # As if five had just run: on a slow machine nine may take so long that none of them would have to wait.
    store.hset(Keys("counter").rate("counter.paced", "5/second", ""), "tat_ms", FAR_AHEAD)
    calls = shell.delay("counter.paced", *[{"n": number} for number in range(9)])

    until(lambda: len(house.notes("paced")) == 9, 20, "the nine paced calls")

    assert sorted(house.notes("paced")) == sorted(map(str, range(9)))

    def all_records() -> list[dict[str, str]]:
        return [call_record(store, "counter", call) for call in calls]

    until(lambda: {record["state"] for record in all_records()} == {"done"}, what="every call to be done")
    records = all_records()
    assert {record["attempts"] for record in records} == {"1"}
    assert any("booked_ms" in record for record in records)


def test_a_deferral_is_no_attempt_also_where_there_is_only_one(
    house: Install, shell: Shell, store: redis.Redis
) -> None:
    calls = shell.delay("clerk.paced_once", *[{"n": number} for number in range(4)])

    until(lambda: len(house.notes("paced_once")) == 4, 20, "the four calls")

    until(
        lambda: {call_record(store, "clerk", call)["state"] for call in calls} == {"done"}, what="every call to be done"
    )


def test_a_deferred_call_waits_in_the_register_and_nothing_of_it_is_left_in_the_broker(
    house: Install, shell: Shell, store: redis.Redis
) -> None:
    first, second = shell.delay("clerk.hourly", {"n": 1}, {"n": 2})
    answers = sorted((house.answer(call) for call in (first, second)), key=lambda answer: not answer["ok"])

    assert answers[0]["ok"]
    receipt = answers[1]
    assert (receipt["error"], receipt["stage"], receipt["deferred"], receipt["rule"]) == (
        "rate limited",
        "rate",
        True,
        "1/hour",
    )
    assert 3500 < receipt["retry_after"] <= 3600
    [(waiting, due)] = store.zrange(Keys("clerk").waiting, 0, -1, withscores=True)
    assert waiting in {first, second}
    assert 3500 < due / 1000 - store.time()[0] <= 3601
    until(lambda: store.hlen("unacked") == store.llen("celery") == 0, what="the broker to be empty")
    assert len(house.notes("hourly")) == 1


def test_a_dropped_call_is_refused_with_the_numbers_and_never_comes_back(
    house: Install, shell: Shell, store: redis.Redis
) -> None:
    calls = shell.delay("counter.limited", *[{"n": number} for number in range(5)])

    answers = [house.answer(call) for call in calls]

    refused = [answer for answer in answers if not answer["ok"]]
    assert len(refused) == 2
    for answer in refused:
        assert (answer["error"], answer["stage"], answer["rule"]) == ("rate limited", "rate", "3/hour")
        assert 1100 < answer["retry_after"] <= 1200
    assert len(house.notes("limited")) == 3
    waiting = {*store.zrange(Keys("counter").waiting, 0, -1), *store.zrange(Keys("counter").queued, 0, -1)}
    assert not waiting & set(calls)


# Retry


def test_repeat_safe_work_that_fails_is_tried_again_after_a_pause_that_doubles(
    house: Install, shell: Shell, store: redis.Redis
) -> None:
    [call] = shell.delay("clerk.flaky", {"name": "twice", "times": 2})

    until(lambda: call_record(store, "clerk", call)["state"] == "done", 20, "the third attempt")

    key = f"clerk.flaky:{call}"
    events = [event for event in shell_story(shell, key) if event["event"] == "failed"]
    assert len(house.notes("twice")) == 3
    assert [event["attempt"] for event in events] == [1, 2]
    assert 0.05 <= events[0]["retry_after"] <= 0.1
    assert 0.1 <= events[1]["retry_after"] <= 0.2
    answer = until(lambda: (meta := house.result(call))["status"] == "SUCCESS" and meta["result"], what="the answer")
    assert (answer["ok"], answer["result"]) == (True, 3)


def shell_story(shell: Shell, key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shell.run(
        "from gatekeeper.policies.spec import agents\nfrom state.agents import history as story\n"
        "answer = story.read_history(agents(), key)['story']",
        key=key,
    )
    return found


def test_work_that_fails_every_time_ends_rejected_with_its_error(
    house: Install, shell: Shell, store: redis.Redis
) -> None:
    [call] = shell.delay("clerk.flaky", {"name": "always", "times": 99})

    until(lambda: call_record(store, "clerk", call)["state"] == "rejected", 20, "the last attempt")

    assert len(house.notes("always")) == 3
    until(
        lambda: "attempt 3 of always fails" in str(house.result(call)["result"]),
        what="the last failure in Celery's result",
    )
    assert house.result(call)["status"] == "FAILURE"
    until(
        lambda: "attempt 3 of always fails" in house.state("clerk")["errors"][0]["error"],
        what="the error in the mirror",
    )


@pytest.mark.parametrize(
    ("mode", "stand"), [("refuse:403", "rejected"), ("refuse:500", "unknown"), ("apply_then_reset", "unknown")]
)
def test_an_effect_is_never_tried_a_second_time(
    shell: Shell, store: redis.Redis, house: Install, effect_server: EffectServer, mode: str, stand: str
) -> None:
    effect_server.clear()
    post_id = f"fails-{mode.replace(':', '-')}"
    effect_server.mode(mode)
    [call] = shell.delay("clerk.post", {"post_id": post_id})

    meta = house.result(call)

    assert meta["status"] == "FAILURE"
    assert stands(store, "clerk", f"post:{post_id}") == stand
    assert store.zscore(Keys("clerk").waiting, call) is None
    assert store.zscore(Keys("clerk").queued, call) is None
    assert effect_server.arrived(f"post:{post_id}") == 1


def test_an_effect_that_was_proven_not_to_happen_may_be_asked_for_again(
    shell: Shell, house: Install, effect_server: EffectServer
) -> None:
    effect_server.clear()
    effect_server.mode("refuse:403", for_next=1)
    first, second = (house.result(shell.delay("clerk.post", {"post_id": "again"})[0]) for _ in range(2))

    assert (first["status"], second["status"]) == ("FAILURE", "SUCCESS")
    assert effect_server.counts() == {"post:again": 1}


# The other limits, through a real worker


def test_a_cap_pauses_its_task_alone_and_says_so_in_the_mirror_and_in_the_status(
    shell: Shell, store: redis.Redis, house: Install, effect_server: EffectServer
) -> None:
    effect_server.clear()
    for number in range(2):
        assert house.answer(shell.delay("counter.capped", {"n": number})[0])["ok"]

    refused = house.answer(shell.delay("counter.capped", {"n": 2})[0])

    assert (refused["error"], refused["stage"], refused["by"]) == ("paused", "paused", "cap")
    state = until(lambda: (found := house.state("counter"))["paused"] and found, what="the pause in the mirror")
    assert "2/day" in state["pause"]["why"]
    assert house.answer(shell.delay("counter.add", {"a": 1, "b": 2})[0])["ok"], "another task of the agent"
    told = shell.celery("gate", "status", "counter").stdout
    assert "2/day reached" in told
    assert "other tasks than counter.capped run" in " ".join(told.split())
    assert "Its cap was reached" in shell.celery("gate", "explain", "capped:2").stdout
    shell.run("from state.agents import pause as agent\nanswer = agent.resume('counter')")
    assert house.answer(shell.delay("counter.capped", {"n": 3})[0])["ok"], "a person has looked, so it counts from zero"
    assert len(effect_server.counts()) == 3


def test_a_breaker_trips_cools_down_and_closes_with_one_probe(shell: Shell, store: redis.Redis, house: Install) -> None:
    for _ in range(3):
        call = shell.run("answer = app.tasks['counter.fragile'].delay(works=False).id")
        assert house.result(call)["status"] == "FAILURE"
    breaker = Keys("counter").breaker("counter.fragile", "")
    assert store.hexists(breaker, "open_until_ms")
    store.hset(breaker, "open_until_ms", FAR_AHEAD)  # as if it had opened just now: its second may be over

    refused = house.answer(shell.delay("counter.fragile", {"works": True})[0])
    assert (refused["error"], refused["stage"]) == ("breaker open", "breaker")
    assert 0 < refused["retry_after"] <= 1

    def probe() -> bool:
        return bool(house.answer(shell.delay("counter.fragile", {"works": True})[0])["ok"])

    assert until(probe, 10, "the breaker to let a probe through")
    assert house.answer(shell.delay("counter.fragile", {"works": True})[0])["ok"]
    assert house.notes("fragile").count("fails") == 3


def test_an_answer_that_does_not_fit_is_undone_and_its_key_stays_taken(
    shell: Shell, house: Install, effect_server: EffectServer
) -> None:
    effect_server.clear()
    first = house.answer(shell.delay("counter.garbled", {"n": 1})[0])
    second = house.answer(shell.delay("counter.garbled", {"n": 1})[0])

    assert (first["ok"], first["error"], first["stage"], first["undo"]) == (
        False,
        "output validation failed",
        "output",
        "done",
    )
    assert second == {**first, "replayed": True}
    assert effect_server.counts() == {"garbled:1": 1}
    assert len(house.notes("undone")) == 1
