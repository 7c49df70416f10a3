"""Alerts through real workers, the gate and apprise: told once, tried again, never lost, and not in a loop."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest
import requests
from redis import Redis

from state.redis.keys import Keys
from tests.conftest import MADE, a_valkey
from tests.effects.client import EffectServer
from tests.harness import Install, Valkey, patient, until
from tests.harness.ports import free_ports
from tests.providers.receiver import Receiver

pytestmark = pytest.mark.slow


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def server() -> Iterator[Valkey]:
    made = a_valkey(aof=True)
    yield made
    made.close()


@pytest.fixture
def house(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    server: Valkey,
    effects: EffectServer,
    receiver: Receiver,
) -> Iterator[Install]:
    """An installation with a server of its own, whose alerts go to the receiver; nothing runs yet."""
    env = {"EFFECTS_URL": effects.base_url, "ALERT_URLS": receiver.url}
    made = Install(tmp_path_factory.mktemp("alerts"), server.url, task_modules=("storyteller", "clerk"), env=env)
    request.node.stash[MADE] = [made]
    yield made
    made.close()


@pytest.fixture
def redis(house: Install) -> Iterator[Redis]:
    with Redis.from_url(house.redis_url, decode_responses=True) as made:
        yield made


def wait_for_a_person(redis: Redis, key: str, state: str = "held") -> None:
    """Put a key among those that wait, as a script does."""
    at = 1000 * int(redis.time()[0])
    entry = {"key": key, "state": state, "since": at, "why": "20 look-ups, and no proof"}
    redis.hset(Keys("clerk").held, key, json.dumps(entry))


def alert_states(house: Install) -> dict[str, str]:
    """The state of each alert on each channel, by `WHAT CHANNEL`."""
    found = house.gate("incidents")
    alerts = [alert for each in (*found["current"], *found["past"]) for alert in each["alerts"]]
    return {f"{alert['what']} {name}": state for alert in alerts for name, state in alert["states"].items()}


def test_a_held_key_is_told_with_its_link_and_its_end_too(house: Install, redis: Redis, receiver: Receiver) -> None:
    house.worker()
    wait_for_a_person(redis, "capped:1")

    begin = receiver.wait_for("capped:1 is held")
    redis.hdel(Keys("clerk").held, "capped:1")
    end = receiver.wait_for("Over: capped:1 is held")

    assert begin["type"] == "failure"
    lines = begin["message"].splitlines()
    assert lines[0] == "capped:1 is held for a person: 20 look-ups, and no proof"
    assert lines[1].startswith("Since: ")
    assert "explain capped:1" in lines[-2]
    assert lines[-1].startswith(f"Page: {house.web_url}/")
    assert end["type"] == "success"
    until(lambda: set(alert_states(house).values()) == {"done"}, what="both alerts to be settled")
    assert [each["title"] for each in receiver.messages if "capped:1" in each["title"]] == [
        begin["title"],
        end["title"],
    ]


def test_an_alert_waits_for_a_receiver_that_is_down(house: Install, redis: Redis) -> None:
    (port,) = free_ports(1)
    house.env["ALERT_URLS"] = f"json://127.0.0.1:{port}/"
    worker = house.worker()
    wait_for_a_person(redis, "capped:1")
    worker.wait_for("alert not sent", 60)

    late = Receiver(port)
    told = late.wait_for("capped:1 is held")
    late.close()

    assert "second copy" not in told["message"]
    assert '"why": "the connection was refused"' in worker.output
    assert str(port) not in next(line for line in worker.output.splitlines() if "alert not sent" in line)


def test_a_worker_that_dies_between_sending_and_settling_loses_nothing(
    house: Install, redis: Redis, receiver: Receiver
) -> None:
    answer = threading.Event()
    receiver.answers = lambda _: 200 if answer.wait(60) else 500
    worker = house.worker()
    wait_for_a_person(redis, "capped:1")
    receiver.wait_for("capped:1 is held")

    worker.kill9()
    answer.set()
    house.worker()

    until(lambda: alert_states(house).get("begin 1-json") == "done", 60, "the alert to be settled")
    assert 1 <= len(receiver.told("capped:1 is held")) <= 2


def test_an_alert_that_cannot_be_sent_is_not_an_incident_itself(
    house: Install, redis: Redis, receiver: Receiver
) -> None:
    receiver.answers = lambda _: 500
    worker = house.worker()
    wait_for_a_person(redis, "capped:1")
    until(lambda: len(receiver.messages) > 1, 60, "a second try")
    worker.wait_for("alert not sent")

    names = {each["name"] for each in house.gate("incidents")["current"]}

    assert "held capped:1" in names
    assert not [name for name in names if "alert" in name]
    assert len({each["title"] for each in receiver.messages if "capped" in each["title"]}) == 1


def test_no_alert_is_lost_while_the_monitor_is_paused(house: Install, redis: Redis, receiver: Receiver) -> None:
    house.gate("pause", "monitor", "--why", "quiet, please")
    house.worker()
    wait_for_a_person(redis, "capped:1")
    until(lambda: any(each["alerts"] for each in house.gate("incidents")["current"]), 60, "the alert to be decided")
    assert receiver.told("capped:1") == []

    house.gate("resume", "monitor")

    receiver.wait_for("capped:1 is held")


def test_a_doubt_of_a_worker_that_was_killed_while_sending_rings_within_a_minute(
    house: Install, effects: EffectServer, receiver: Receiver
) -> None:
    effects.mode("delay_after:60")
    worker = house.worker()
    house.delay("storyteller.publish", {"post_id": "night"})
    until(lambda: effects.count() == 1, what="the effect")
    worker.kill9()
    house.worker()

    told = receiver.wait_for("story:night is in doubt", 60)

    link = told["message"].splitlines()[-1].removeprefix("Page: ")
    assert link.startswith(f"{house.web_url}/decide/")
    assert "Once upon a time" not in told["message"]
    house.web()
    assert "story:night" in requests.get(link, timeout=patient(10)).text


def test_thirty_keys_that_are_held_at_once_are_one_alert(house: Install, redis: Redis, receiver: Receiver) -> None:
    for n in range(30):
        wait_for_a_person(redis, f"capped:{n}")
    house.worker()

    told = receiver.wait_for("incidents: ")

    assert "- and " in told["message"]
    assert receiver.told("is held for a person") == []


def test_an_alert_that_nobody_looks_after_goes_to_the_urgent_channel_and_its_end_too(
    house: Install, redis: Redis, receiver: Receiver
) -> None:
    boss = Receiver()
    house.env |= {"ALERT_URLS_URGENT": boss.url, "ESCALATE_AFTER": "1s"}
    house.worker()
    wait_for_a_person(redis, "capped:1")

    boss.wait_for("Nobody looked: capped:1 is held")
    redis.hdel(Keys("clerk").held, "capped:1")
    boss.wait_for("Over: capped:1 is held")

    receiver.wait_for("Over: capped:1 is held")
    assert [each["title"].split(":")[1].strip() for each in boss.messages] == ["Nobody looked", "Over"]
    boss.close()


def test_a_redis_that_is_killed_rings_from_the_web_process_and_its_return_too(
    house: Install, server: Valkey, receiver: Receiver
) -> None:
    house.web()
    house.worker()

    server.kill9()
    told = receiver.wait_for("Redis does not answer", 90)
    server.start()

    assert "redis-away.md" in told["message"]
    receiver.wait_for("Over: Redis does not answer", 90)
    until(lambda: any(each["kind"] == "redis" for each in house.gate("incidents")["past"]), 30, "it in the log")
