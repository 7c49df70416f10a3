"""The task that sends an alert: through the gate, tried again, twice rather than never, and never held for a person."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import settings
from state.agents import calls, incidents
from state.agents.incidents import BookChange
from state.redis.keys import Keys
from tasks import monitor
from tasks.monitor import incident_log
from tasks.monitor.records import AlertText
from tests.harness import Valkey
from tests.providers.receiver import Receiver, slowly

KEY = incident_log.alert_key("a1-begin", "1-json")


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, valkey: Valkey) -> Iterator[Receiver]:
    """A receiver that ALERT_URLS names, and one alert to send."""
    assert valkey.alive
    made = Receiver()
    monkeypatch.setenv("STATE_DIR", str(tmp_path))
    monkeypatch.setenv("ALERT_URLS", f"{made.url}?rto=1")
    monkeypatch.setenv("PUBLIC_URL", "https://gate.example.org")
    settings.current.cache_clear()
    text = AlertText(
        id="a1-begin", what="begin", at=datetime.now(UTC), title="the disk is full", body="free some space", bad=True,
        channels=("1-json",), page="/incidents",
    )  # fmt: skip
    incidents.change_book(lambda _: BookChange("{}", alerts={text.id: text.model_dump_json()}))
    yield made
    made.close()
    settings.current.cache_clear()


def send(alert: str = "a1-begin", channel: str = "1-json") -> Any:
    return monitor.alert(alert, channel)


def state() -> str | None:
    return calls.key_states("monitor", [KEY])[KEY][0]


def test_an_alert_is_sent_once_with_its_page_however_often_it_is_asked_for(receiver: Receiver) -> None:
    assert send()["ok"]
    assert send()["replayed"]

    (message,) = receiver.messages
    assert message["title"] == "Gatehouse: the disk is full"
    assert message["message"] == "free some space\nPage: https://gate.example.org/incidents"


def test_a_channel_that_refuses_lets_the_alert_wait_and_it_is_no_matter_for_a_person(
    receiver: Receiver, valkey: Valkey
) -> None:
    receiver.answers = lambda _: 500

    answer = send()

    assert (answer["ok"], answer["stage"]) == (False, "service")
    assert "alert channel 1 (json): it answered 500" in answer["error"]
    assert state() == "waiting"
    assert valkey.client().hlen(Keys("monitor").held) == 0
    (until,) = [score for _, score in valkey.client().zrange(Keys("monitor").waiting, 0, -1, withscores=True)]
    assert until - 1000 * time.time() < 30_000


def test_an_alert_that_may_have_arrived_waits_longer_and_says_that_it_is_a_second_copy(
    receiver: Receiver, valkey: Valkey
) -> None:
    receiver.answers = slowly(2)
    assert "it may have arrived" in send()["error"]
    assert (state(), valkey.client().hlen(Keys("monitor").held)) == ("waiting", 0)
    redis, name = valkey.client(), Keys("monitor").waiting
    (call,) = redis.zrange(name, 0, -1)
    assert redis.zscore(name, call) - 1000 * time.time() > 60_000

    receiver.answers = lambda _: 200
    redis.zadd(name, {call: 1})
    assert send()["ok"]

    assert [message["message"].startswith("This may be a second copy") for message in receiver.messages] == [
        False,
        True,
    ]


def test_an_alert_is_sent_while_effects_are_closed(receiver: Receiver, valkey: Valkey) -> None:
    valkey.client().hset(Keys("monitor").ledger, "closed", "Redis lost its data")

    assert send()["ok"]
    assert len(receiver.messages) == 1


def test_a_channel_that_the_settings_have_no_more_is_refused_with_its_name(receiver: Receiver) -> None:
    answer = send(channel="7-ntfy")

    assert answer["ok"] is False
    assert "no channel 7-ntfy any more" in answer["error"]
    assert receiver.messages == []
