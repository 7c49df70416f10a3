"""The first message of a call without an effect, which the script that registers the call sends, is the one kombu would send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from kombu import Connection

from server_urls import redis_url
from tests.conftest import a_valkey
from tests.harness.valkey import Valkey
from workers import app, broker
from workers.first_message import Recorder

ID = "11111111-2222-4333-8444-555555555555"


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    started = a_valkey()
    yield started
    started.close()


def publish(producer: Any, options: dict[str, Any]) -> None:
    """Let Celery make the message, and hand it to this producer."""
    super(type(app), app).send_task("tests.first", (), {"n": "ö"}, task_id=ID, producer=producer, **options)


def as_kombu_sends_it(server: Valkey, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the list, and the message in it."""
    client = server.client()
    client.flushall()
    with Connection(redis_url.read(server.url).for_kombu, transport=broker.Transport) as connection:
        publish(connection.Producer(), options)
    [queue] = [name for name in client.scan_iter() if client.type(name) == "list"]
    return queue, json.loads(client.lindex(queue, 0) or "")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"queue": "drafts"},
        {"priority": 0},
        {"priority": 5},
        {"priority": 9, "queue": "drafts"},
        {"ignore_result": True},
        {"argsrepr": "()", "kwargsrepr": "{'n': 'ö'}", "headers": {"lane": "drafts/5"}},
    ],
)
def test_the_message_and_its_list_are_those_of_kombu(server: Valkey, options: dict[str, Any]) -> None:
    expected_queue, expected = as_kombu_sends_it(server, options)
    recorder = Recorder()

    publish(recorder, options)

    assert recorder.message is not None
    message = json.loads(recorder.message.text)
    del message["properties"]["delivery_tag"], expected["properties"]["delivery_tag"]  # random
    assert (recorder.message.queue, message) == (expected_queue, expected)


@pytest.mark.parametrize("options", [{"exchange": "news", "routing_key": "all"}, {"compression": "zlib"}])
def test_a_message_that_does_not_go_straight_to_a_queue_is_left_to_kombu(options: dict[str, Any]) -> None:
    recorder = Recorder()

    publish(recorder, options)

    assert recorder.message is None
