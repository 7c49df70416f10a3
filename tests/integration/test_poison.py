"""Messages that cannot be read: each is told in one line and gone, and the worker goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import redis

from tests.effects.client import EffectServer
from tests.harness import Install, Process, until
from tests.poison import HARMLESS, POISON, RAW, message


@pytest.fixture(scope="module", params=["threads", "prefork"])
def worker(request: pytest.FixtureRequest, house: Install) -> Iterator[Process]:
    """One worker at a time, of each pool."""
    worker = house.worker(pool=request.param, concurrency=2)
    yield worker
    worker.kill9()


def is_served(store: redis.Redis) -> bool:
    return not store.llen("celery") and not store.hlen("unacked")


def answers_a_ping(house: Install) -> None:
    """Wait until the worker answers; Celery itself waits a second for answers, and the worker may have much to read first."""
    until(lambda: "pong" in house.celery("inspect", "ping").stdout, what="an answer to a ping")


def test_messages_that_cannot_be_read_are_dropped_and_the_next_call_runs(
    house: Install, worker: Process, store: redis.Redis
) -> None:
    dropped = len(worker.events("message dropped"))
    store.lpush("celery", *POISON)

    call = house.call("counter.add", a=1, b=2)

    assert house.answer(call, 30)["result"] == 3
    until(lambda: is_served(store), 20, "the queue to be empty")
    told = worker.events("message dropped")[dropped:]
    assert worker.alive
    assert len(told) == len(POISON), "each is told once"
    assert all(len(line["begins"]) <= 200 and line["why"] and line["queue"] == "celery" for line in told)
    assert not [line for line in worker.output.splitlines() if "Traceback" in line]


def test_a_message_that_is_odd_where_nobody_looks_runs_as_usual(
    house: Install, worker: Process, store: redis.Redis, effect_server: EffectServer
) -> None:
    effect_server.clear()
    calls = [json.loads(each)["headers"]["id"] for each in HARMLESS]
    store.lpush("celery", *HARMLESS)

    answers = [house.answer(call, 30) for call in calls]

    assert all(answer["ok"] or answer["error"] == "in progress" for answer in answers)
    assert effect_server.counts().get("story:harmless", 0) <= 1
    until(lambda: is_served(store), 20, "the queue to be empty")
    assert worker.alive


def test_a_message_of_the_first_protocol_runs_as_usual(house: Install, worker: Process, store: redis.Redis) -> None:
    call = str(uuid4())
    old = {
        "task": "counter.add",
        "id": call,
        "args": [],
        "kwargs": {"a": 2, "b": 3},
        "retries": 0,
        "eta": None,
        "utc": True,
    }
    store.lpush("celery", message(body=old, envelope={"headers": {}}))

    assert house.answer(call)["result"] == 5
    assert worker.alive


def test_a_garbled_entry_among_the_unacknowledged_does_not_keep_the_others_from_coming_back(
    house: Install, worker: Process, store: redis.Redis
) -> None:
    lost = message(headers={"task": "counter.add"}, body=[[], {"a": 4, "b": 5}, {}])
    rows = {
        "bad1": "plain text",
        "bad2": "5",
        "bad3": "[5, 6, 7]",
        "good": json.dumps([json.loads(lost), "", "celery"]),
    }
    store.hset("unacked", mapping=rows)
    store.zadd("unacked_index", {tag: number + 1 for number, tag in enumerate(rows)})

    assert house.answer(json.loads(lost)["headers"]["id"], 30)["result"] == 9
    until(lambda: is_served(store), 20, "everything to be put back or dropped")
    assert worker.alive


def test_a_secret_in_a_message_that_cannot_be_read_is_not_in_the_log(
    house: Install, worker: Process, store: redis.Redis
) -> None:
    store.lpush("celery", "https://ada:open-sesame@example.org/ is not a message")

    until(lambda: "is not a message" in worker.output, 20, "the line")
    assert "open-sesame" not in worker.output


def test_garbage_on_the_channel_of_remote_control_leaves_the_worker_as_it_is(
    house: Install, worker: Process, store: redis.Redis
) -> None:
    commands = [
        {"method": ["x"]},
        {"method": "nosuch"},
        {"method": "ping", "arguments": 5},
        {"destination": 5},
        [],
        7,
        None,
    ]
    for each in [*RAW, *POISON, *(message(body=command) for command in commands)]:
        store.publish("/0.celery.pidbox", each)

    answers_a_ping(house)
    assert house.answer(house.call("counter.add", a=1, b=1), 30)["result"] == 2
    assert worker.alive


@pytest.mark.parametrize("method", ["add_consumer", "cancel_consumer"])
def test_a_command_about_what_is_not_a_queue_leaves_the_worker_as_it_is(
    house: Install, worker: Process, store: redis.Redis, method: str
) -> None:
    odd: list[dict[str, Any]] = [{"queue": each} for each in (["x"], {"a": 1}, 7, None, "", "unacked", "x" * 65)]
    for given in [*odd, {"queue": "q", "exchange": ["x"]}, {"queue": "q", "exchange_type": "nosuch"}]:
        store.publish("/0.celery.pidbox", message(body={"method": method, "arguments": given}, headers={"task": ""}))

    answers_a_ping(house)
    assert house.answer(house.call("counter.add", a=1, b=1), 30)["result"] == 2
    assert worker.alive


def test_a_queue_can_still_be_added_and_cancelled(house: Install, worker: Process) -> None:
    def says(words: str, command: str) -> None:
        """Wait for these words; Celery itself waits a second for an answer, and a command may be given again."""
        until(lambda: words in house.celery("control", command, "moreq").stdout, what=words)

    says("consum", "add_consumer")
    says("no longer consuming from moreq", "cancel_consumer")
    assert worker.alive
