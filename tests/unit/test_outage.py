"""Outages: what no worker can tell is told by the web process, once, and its end too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import settings
from clients.alerts import AlertAnswer, AlertChannel
from state.agents import incidents
from state.agents.incidents import BookChange
from tasks.monitor import incident_log, outage
from tasks.monitor.records import Book
from tests.harness import Valkey

START = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)
SENT = AlertAnswer("sent", "accepted")


class Phone:
    """Two channels, one of them urgent: what they were told, and what they answer."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.answer = SENT
        self.watch = outage.OutageWatch(self)

    def __call__(self, channel: AlertChannel, title: str, body: str, bad: bool) -> AlertAnswer:  # noqa: ARG002 - what the product calls
        self.told.append(f"{channel.name} {title.removeprefix('Gatehouse: ')}")
        return self.answer


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Phone]:
    for name, value in {
        "STATE_DIR": str(tmp_path / "state"),
        "ALERT_URLS": "json://127.0.0.1:9/",
        "ALERT_URLS_URGENT": "json://127.0.0.1:10/",
    }.items():
        monkeypatch.setenv(name, value)
    settings.current.cache_clear()
    yield Phone()
    settings.current.cache_clear()


def a_worker_looked(at: datetime) -> None:
    incidents.change_book(lambda _: BookChange(Book(looked=at).model_dump_json()))


def look(phone: Phone, minutes: float) -> list[str]:
    """Look once; return what is told."""
    phone.told.clear()
    phone.watch.look(START + timedelta(minutes=minutes))
    return list(phone.told)


def test_redis_that_is_away_is_told_after_a_minute_and_its_return_too(phone: Phone, fragile_valkey: Valkey) -> None:
    fragile_valkey.stop()

    assert look(phone, 0) == []
    (told,) = look(phone, 1)
    assert told.startswith("1-json Redis does not answer")
    assert look(phone, 2) == []

    fragile_valkey.start()
    a_worker_looked(START + timedelta(minutes=3))
    (told,) = look(phone, 3)
    assert told.startswith("1-json Over: Redis does not answer")
    assert look(phone, 4) == []
    (past,) = incident_log.past()
    assert (past.kind, past.until) == ("redis", START + timedelta(minutes=3))


def test_a_restart_is_not_told(phone: Phone, fragile_valkey: Valkey) -> None:
    fragile_valkey.stop()
    look(phone, 0)
    fragile_valkey.start()
    a_worker_looked(START)

    assert look(phone, 0.5) == []
    assert look(phone, 1) == []


def test_nobody_looks_so_it_is_told_to_the_urgent_channel_too(phone: Phone, fragile_valkey: Valkey) -> None:
    fragile_valkey.stop()
    look(phone, 0)
    look(phone, 1)

    (told,) = look(phone, 32)

    assert told.startswith("urgent-1-json Nobody looked: Redis does not answer")


def test_a_channel_that_failed_is_told_again_a_minute_later(phone: Phone, fragile_valkey: Valkey) -> None:
    fragile_valkey.stop()
    look(phone, 0)
    phone.answer = AlertAnswer("failed", "it answered 500")
    assert len(look(phone, 1)) == 1
    assert look(phone, 1.5) == []

    phone.answer = SENT

    assert len(look(phone, 2.1)) == 1
    assert look(phone, 3.2) == []


def test_a_channel_in_doubt_is_told_three_times_at_most(phone: Phone, fragile_valkey: Valkey) -> None:
    fragile_valkey.stop()
    phone.answer = AlertAnswer("unknown", "it did not answer in time")

    assert sum(len(look(phone, minutes)) for minutes in range(20)) == outage.MAX_DOUBTS


def test_workers_that_look_no_more_are_told(phone: Phone, valkey: Valkey) -> None:
    assert valkey.alive
    a_worker_looked(START)
    assert look(phone, 2) == []
    assert look(phone, 2.5) == []

    (told,) = look(phone, 4)

    assert told == "1-json No worker looks for incidents since 2026-11-30 03:00:00 UTC; calls wait"


def test_a_full_disk_does_not_make_it_tell_again_and_again(
    phone: Phone, fragile_valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    fragile_valkey.stop()
    monkeypatch.setattr(outage, "write_atomic", is_full)

    assert sum(len(look(phone, minutes)) for minutes in range(10)) == 1


def test_another_process_goes_on_where_the_last_one_was(phone: Phone, fragile_valkey: Valkey) -> None:
    fragile_valkey.stop()
    look(phone, 0)
    assert len(look(phone, 1)) == 1

    phone.watch = outage.OutageWatch(phone)

    assert look(phone, 2) == []
