"""An effect whose outcome is unknown: looked up, sent again only with proof, or ended by a person."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis

from state.redis.keys import Keys
from tests.effects.client import EffectServer
from tests.harness import Install, Process, until

pytestmark = pytest.mark.slow

AGENTS = ("storyteller", "counter", "doubter")


@pytest.fixture
def house(install: Install) -> Install:
    """An installation with an agent that can look its effects up."""
    install.env["TASK_MODULES"] = ",".join(AGENTS)
    return install


def state_of(install: Install, key: str) -> str | None:
    """Where a key stands, read from Redis: a command each time would take longer than what is waited for."""
    agent = "storyteller" if key.startswith("story:") else "doubter"
    with redis.Redis.from_url(install.redis_url, decode_responses=True) as store:
        state: str | None = store.hget(Keys(agent).key(key), "state")
        return state


def ends(install: Install, key: str, state: str, deadline: float = 30) -> dict[str, Any]:
    """Wait until a key stands there; answers its story."""
    until(lambda: state_of(install, key) == state, deadline, f"{key} to be {state}")
    return install.explain(key)


def held_in_file(install: Install) -> list[dict[str, Any]]:
    """Return what the state file lists, which a worker writes a moment later."""
    found: list[dict[str, Any]] = install.state("storyteller")["held"]
    return found


def hesitating(install: Install) -> Process:
    """Return a worker whose attempt crossed the line and sends nothing for ever; later attempts know that it was the first."""
    worker = install.worker()
    install.call("doubter.hesitate", post_id="hello")
    until((install.notes_dir / "hesitant-hello").exists, 15, "the line to be crossed")
    return worker


def test_an_effect_that_arrived_although_its_worker_died_is_found_and_done(
    house: Install, effects: EffectServer
) -> None:
    """It arrives before anybody looks: the provider promises no more than the drain, and another worker begins to look at once."""
    effects.mode("delay:120")
    worker = house.worker()
    house.call("doubter.publish", post_id="hello")
    effects.wait_in_flight()
    worker.kill9()
    effects.release()
    until(lambda: effects.count("sure:hello"), what="the effect")
    house.worker()

    told = ends(house, "sure:hello", "done")

    assert told["result"]["text"] == "once"
    assert effects.counts() == {"sure:hello": 1}
    assert [event["outcome"] for event in told["story"] if event["event"] == "verify"][-1] == "found"


def test_an_answer_that_was_lost_is_looked_up_at_once(house: Install, effects: EffectServer) -> None:
    effects.mode("apply_then_reset")
    house.worker()

    answer = house.answer(house.call("doubter.publish", post_id="hello"))

    assert answer["ok"]
    assert effects.arrived() == 1


def test_what_is_proven_absent_is_sent_again_with_the_first_payload(house: Install, effects: EffectServer) -> None:
    worker = hesitating(house)
    worker.kill9()
    house.worker()

    told = ends(house, "hesitant:hello", "done")

    assert effects.counts() == {"hesitant:hello": 1}
    assert told["attempts"] == 2
    assert any(event.get("why") == "proven absent" for event in told["story"])


def test_as_long_as_its_sender_may_live_absence_proves_nothing(house: Install, effects: EffectServer) -> None:
    worker = hesitating(house)
    worker.pause()
    other = house.worker()
    ends(house, "hesitant:hello", "unknown", 40)

    until(lambda: len(other.events("looked up")) >= 5, 30, "five look-ups")

    assert state_of(house, "hesitant:hello") == "unknown"
    refused = house.celery("gate", "resolve", "hesitant:hello", "--not-applied", "--why", "I looked", "--json")
    assert refused.returncode != 0
    assert "may still send" in json.loads(refused.stdout)["error"]
    worker.resume()
    worker.kill9()
    ends(house, "hesitant:hello", "done")
    assert effects.counts() == {"hesitant:hello": 1}


def test_what_the_provider_shows_late_is_not_sent_again(house: Install, effects: EffectServer) -> None:
    """Each look-up is too early by itself; only those after the drain count, and they are spaced."""
    effects.look_up_lag(1.2)
    effects.mode("apply_then_reset")
    house.worker()
    house.call("doubter.publish", post_id="hello")

    ends(house, "sure:hello", "done")

    assert effects.counts() == {"sure:hello": 1}


@pytest.mark.parametrize(
    ("said", "state", "sent"), [("--applied", "done", 1), ("--cancel", "cancelled", 1), ("--not-applied", "done", 2)]
)
def test_a_person_ends_the_doubt_and_is_named(
    house: Install, effects: EffectServer, said: str, state: str, sent: int
) -> None:
    effects.mode("apply_then_reset", for_next=1)
    house.worker()
    house.call("storyteller.publish", post_id="hello")
    ends(house, "story:hello", "unknown")
    [held] = house.gate("held")
    assert (held["key"], held["state"], held["payload"]["post_id"]) == ("story:hello", "unknown", "hello")
    until(lambda: [each["key"] for each in held_in_file(house)] == ["story:hello"], what="the state file to list it")

    house.gate("resolve", "story:hello", said, "--why", "I looked at the site")

    told = ends(house, "story:hello", state)
    [word] = [event for event in told["story"] if event["event"] == "resolved"]
    assert (word["why"], bool(word["by"])) == ("I looked at the site", True)
    assert house.gate("held") == []
    until(lambda: held_in_file(house) == [], what="the state file to list nothing")
    assert effects.count("story:hello") == sent  # a person who says that it is not out there is believed
    bodies = {row["body"] for row in effects.rows()}
    assert len(bodies) == 1


def test_only_the_key_in_doubt_is_blocked(house: Install, effects: EffectServer) -> None:
    effects.mode("apply_then_reset", key="story:hello")
    house.worker()
    house.call("storyteller.publish", post_id="hello")
    ends(house, "story:hello", "unknown")

    assert house.answer(house.call("storyteller.publish", post_id="other"))["ok"]
    assert house.answer(house.call("storyteller.publish", post_id="hello"))["error"] == "outcome unknown"


def test_a_process_that_slept_past_its_lease_does_not_send(house: Install, effects: EffectServer) -> None:
    house.env["WAIT_BEFORE_SENDING"] = "sleeper"
    sleeper = house.worker()
    house.call("doubter.publish", post_id="hello")
    until(lambda: house.notes("asleep"), 15, "the line to be crossed")
    sleeper.pause()
    house.env["WAIT_BEFORE_SENDING"] = ""
    house.worker()
    ends(house, "sure:hello", "unknown", 40)

    (house.notes_dir / "wake").touch()
    sleeper.resume()

    ends(house, "sure:hello", "done")
    assert effects.counts() == {"sure:hello": 1}
    assert effects.arrived() == 1


def test_the_second_step_of_two_takes_up_what_the_first_made(house: Install, effects: EffectServer) -> None:
    house.worker()
    house.call("doubter.in_steps", post_id="hello")

    told = ends(house, "steps:hello", "done")

    assert effects.counts() == {"container:hello": 1, "steps:hello": 1}
    assert told["attempts"] == 2


def test_poison_is_held_and_runs_once_a_person_approves(house: Install, effects: EffectServer) -> None:
    house.worker("prefork", 2)
    house.call("doubter.deadly", post_id="hello")
    ends(house, "deadly:hello", "held", 60)
    assert effects.counts() == {}
    (house.notes_dir / "harmless").touch()

    house.gate("approve", "deadly:hello", "--why", "the file is mended")

    told = ends(house, "deadly:hello", "done")
    assert "the file is mended" in [event.get("why") for event in told["story"]]
    assert effects.counts() == {"deadly:hello": 1}


def test_a_dead_call_is_listed_and_can_be_replayed(house: Install, effects: EffectServer) -> None:
    effects.mode("refuse:403", for_next=1)
    house.worker()
    call = house.call("storyteller.publish", post_id="hello")
    ends(house, "story:hello", "rejected")

    [dead] = house.gate("dead")
    assert (dead["call"], dead["key"]) == (call, "story:hello")
    house.gate("replay", call)

    ends(house, "story:hello", "done")
    assert house.gate("dead") == []
    assert effects.counts() == {"story:hello": 1}
