"""What is proven not to have happened and passes by itself is waited out; what only a person can change is rejected at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

import pytest
import redis

from state.redis.keys import Keys
from tests.conftest import a_valkey
from tests.effects.client import EffectServer
from tests.harness import Install, patient, until
from tests.harness.ports import free_ports
from tests.harness.shell import Shell

PATIENT = Keys("patient")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, effect_server: EffectServer) -> Iterator[Install]:
    server = a_valkey()
    env = {"EFFECTS_URL": effect_server.base_url, "MASTODON_URL": effect_server.base_url, "MASTODON_TOKEN": "x" * 20}
    made = Install(tmp_path_factory.mktemp("patient"), server.url, task_modules=("patient", "clerk"), env=env)
    made.worker(concurrency=4)
    yield made
    made.close()
    server.close()


@pytest.fixture(autouse=True)
def _clean(effect_server: EffectServer, house: Install) -> None:
    effect_server.clear()
    (house.notes_dir / "url").unlink(missing_ok=True)


def stands(store: redis.Redis, key: str) -> str:
    return str(store.hget(PATIENT.key(key), "state"))


def ends(store: redis.Redis, key: str, state: str = "done", deadline: float = 30) -> None:
    until(lambda: stands(store, key) == state, deadline, f"{key} to be {state}")


REFUSALS = ["refuse:429", "refuse:429:0.1", "refuse_until:429:1", "refuse:403:0.1", "refuse:413:0.1"]


@pytest.mark.slow
@pytest.mark.parametrize("mode", REFUSALS)
def test_a_service_that_asks_to_come_again_is_asked_again_and_no_attempt_is_counted(
    shell: Shell, house: Install, store: redis.Redis, effect_server: EffectServer, mode: str
) -> None:
    name = mode.replace(":", "-")
    effect_server.mode(mode, for_next=4)  # more often than the task has attempts

    [call] = shell.delay("patient.publish", {"name": name})

    ends(store, f"patient:{name}")
    assert effect_server.counts() == {f"patient:{name}": 1}
    assert effect_server.arrived(f"patient:{name}") == 5
    told = shell.gate("explain", f"patient:{name}")
    assert told["attempts"] == 1
    assert store.hget(PATIENT.call(call), "attempts") == "1"
    assert [event["event"] for event in told["story"]].count("waiting") == 4


def test_retry_after_is_honoured(shell: Shell, store: redis.Redis, effect_server: EffectServer) -> None:
    effect_server.mode("refuse:429:2", for_next=1)

    shell.delay("patient.publish", {"name": "asked"})

    ends(store, "patient:asked")
    [first, second] = [e["at"] for e in shell.gate("explain", "patient:asked")["story"] if e["event"] == "sending"]
    assert 2.0 <= _seconds(first, second) < patient(6)  # a refusal that says nothing means a minute


def _seconds(first: str, second: str) -> float:
    return (datetime.fromisoformat(second) - datetime.fromisoformat(first)).total_seconds()


def test_a_refused_connection_waits_until_the_service_is_there(
    shell: Shell, house: Install, store: redis.Redis, effect_server: EffectServer
) -> None:
    [port] = free_ports(1)
    (house.notes_dir / "url").write_text(f"http://127.0.0.1:{port}")
    shell.delay("patient.publish", {"name": "unheard"})
    until(lambda: len(house.notes("tried-unheard")) > 3, 20, "more tries than there are attempts")

    (house.notes_dir / "url").unlink()

    ends(store, "patient:unheard")
    assert effect_server.counts() == {"patient:unheard": 1}


def test_a_name_that_is_not_found_is_waited_out_too(shell: Shell, house: Install, store: redis.Redis) -> None:
    (house.notes_dir / "url").write_text("http://no-such-host.invalid")
    shell.delay("patient.publish", {"name": "unnamed"})
    until(lambda: len(house.notes("tried-unnamed")) > 3, 30, "more tries than there are attempts")

    (house.notes_dir / "url").unlink()

    ends(store, "patient:unnamed")


def test_it_is_told_since_when_until_when_and_why_it_waits(
    shell: Shell, house: Install, effect_server: EffectServer, store: redis.Redis
) -> None:
    effect_server.mode("refuse:429:600")
    [call] = shell.delay("patient.publish", {"name": "long"})
    ends(store, "patient:long", "waiting")
    answer = house.answer(call)

    told, of_call = shell.gate("explain", "patient:long"), shell.gate("explain", call)
    [error] = [one for one in shell.gate("status", "patient")[0]["errors"] if one["call"] == call]
    in_words = shell.celery("gate", "status", "patient").stdout

    assert (answer["ok"], answer["stage"], answer["deferred"]) == (False, "service", True)
    assert 600 <= answer["retry_after"] < 700
    for one in (told["waits"], of_call["waits"], error):
        assert one["since"] < one["until"]
        assert _seconds(one["since"], one["until"]) >= 590
    assert "429" in told["waits"]["why"]
    assert "429" in error["error"]
    assert "tried again in 10 min" in " ".join(in_words.split())
    assert of_call["answer"]["stage"] == "service"
    [event] = [event for event in told["story"] if event["event"] == "waiting"]
    assert event["since"] < event["until"] < event["gives_up"]
    until(lambda: house.state("patient")["errors"][0].get("until") == error["until"], what="the same in the state file")
    assert shell.gate("resolve", "patient:long", "--cancel", "--why", "enough")["state"] == "cancelled"


def test_a_wait_that_is_over_is_not_told_any_more(
    shell: Shell, effect_server: EffectServer, store: redis.Redis
) -> None:
    effect_server.mode("refuse:429:1", for_next=2)
    [call] = shell.delay("patient.publish", {"name": "short"})

    ends(store, "patient:short")

    errors = [json.loads(text) for text in store.lrange(PATIENT.errors, 0, -1)]
    assert not [error for error in errors if error["call"] == call and "until" in error]
    told = shell.gate("explain", call)
    assert told["answer"] is None
    assert told["waits"] is None


def test_a_wait_pays_a_slot_of_the_rate_once(shell: Shell, store: redis.Redis, effect_server: EffectServer) -> None:
    effect_server.mode("refuse:429:1", for_next=2)

    shell.delay("patient.rated", {"name": "once"})

    ends(store, "rated:once")
    assert effect_server.counts() == {"rated:once": 1}


def test_a_breaker_counts_refusals_and_the_call_waits_for_it(
    shell: Shell, store: redis.Redis, effect_server: EffectServer
) -> None:
    effect_server.mode("refuse:429:1", for_next=3)

    shell.delay("patient.fused", {"name": "blown"})

    ends(store, "fused:blown")
    events = [event["event"] for event in shell.gate("explain", "fused:blown")["story"]]
    assert events.count("breaker opened") == 2
    assert "breaker closed" in events
    assert effect_server.counts() == {"fused:blown": 1}


@pytest.mark.parametrize("mode", ["refuse:429:600", "refuse:429"])
def test_a_call_that_waits_longer_than_its_age_ends_rejected_with_the_reason(
    shell: Shell, house: Install, store: redis.Redis, effect_server: EffectServer, mode: str
) -> None:
    name = mode.replace(":", "-")
    effect_server.mode(mode)
    [call] = shell.delay("patient.hasty", {"name": name})

    ends(store, f"hasty:{name}", "rejected", 20)

    [listed] = [entry for entry in shell.gate("dead") if entry["call"] == call]
    assert "too old" in listed["error"]
    assert "429" in listed["error"]
    assert effect_server.count(f"hasty:{name}") == 0
    [error] = [one for one in shell.gate("status", "patient")[0]["errors"] if one["call"] == call]
    assert "until" not in error
    assert "429" in error["error"]


PERMANENT = [("401", "MASTODON_TOKEN"), ("403", "MASTODON_TOKEN"), ("404", "MASTODON_URL"), ("413", "the size")]


@pytest.mark.parametrize(("status", "change"), PERMANENT)
def test_what_only_a_person_can_change_is_rejected_at_once_and_says_what_to_change(
    shell: Shell, house: Install, store: redis.Redis, effect_server: EffectServer, status: str, change: str
) -> None:
    effect_server.mode(f"refuse:{status}")
    [call] = shell.delay("patient.publish", {"name": f"never-{status}"})

    ends(store, f"patient:never-{status}", "rejected")

    assert house.result(call)["status"] == "FAILURE"
    assert len(house.notes(f"tried-never-{status}")) == 1
    [listed] = [entry for entry in shell.gate("dead") if entry["call"] == call]
    assert f"change {change}" in listed["error"]
    [error] = [one for one in shell.gate("status", "patient")[0]["errors"] if one["call"] == call]
    assert f"change {change}" in error["error"]


def test_work_without_an_effect_waits_for_its_service_too(
    shell: Shell, house: Install, store: redis.Redis, effect_server: EffectServer
) -> None:
    effect_server.mode("refuse:503:1", for_next=3)

    [call] = shell.delay("patient.fetch", {"name": "later"})

    ends(store, f"patient.fetch:{call}")
    assert len(house.notes("fetched-later")) == 4


def test_work_without_an_effect_wastes_no_attempt_on_what_only_a_person_can_change(
    shell: Shell, house: Install, store: redis.Redis, effect_server: EffectServer
) -> None:
    effect_server.mode("refuse:401")

    [call] = shell.delay("patient.fetch", {"name": "never"})

    ends(store, f"patient.fetch:{call}", "rejected")
    assert len(house.notes("fetched-never")) == 1


def test_503_to_an_effect_proves_nothing_and_leaves_it_in_doubt(
    shell: Shell, house: Install, store: redis.Redis, effect_server: EffectServer
) -> None:
    effect_server.mode("refuse:503:1", for_next=1)

    shell.delay("patient.publish", {"name": "doubtful"})

    ends(store, "patient:doubtful", "unknown")
    assert len(house.notes("tried-doubtful")) == 1


def test_an_author_who_knows_says_when_to_come_again(shell: Shell, house: Install, store: redis.Redis) -> None:
    shell.delay("patient.hinted", {"name": "paper"})

    ends(store, "hinted:paper")
    assert len(house.notes("hinted-paper")) == 2


def test_a_call_that_waits_is_not_refused_by_a_pause(
    shell: Shell, house: Install, store: redis.Redis, effect_server: EffectServer
) -> None:
    effect_server.mode("refuse:429:1")  # for as long as the pause takes to come
    shell.delay("patient.publish", {"name": "paused"})
    ends(store, "patient:paused", "waiting")
    shell.gate("pause", "patient", "--why", "a deploy")

    def is_deferred() -> bool:
        return str(shell.gate("explain", "patient:paused")["waits"]["why"]).startswith("paused")

    try:
        until(is_deferred, 20, "the pause to defer it")
        assert stands(store, "patient:paused") == "waiting"
    finally:
        shell.gate("resume", "patient")
