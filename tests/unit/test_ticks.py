"""What is known of a schedule's ticks; plain reads and writes, so a server in memory is enough."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from state.ledger import schedule_runs
from state.redis import client
from state.redis.keys import Keys

DUE = datetime(2026, 11, 22, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)

if TYPE_CHECKING:
    import fakeredis


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> fakeredis.FakeRedis:
    import fakeredis  # half a second, which every process of a parallel run would spend at collection

    fake = fakeredis.FakeRedis(decode_responses=True)
    monkeypatch.setattr(client, "client", lambda: fake)
    return fake


def test_an_entry_that_never_ran_has_no_last_tick(store: fakeredis.FakeRedis) -> None:
    assert schedule_runs.last("analyst", "analyse") is None


def test_the_newest_tick_of_each_entry_is_remembered_apart(store: fakeredis.FakeRedis) -> None:
    schedule_runs.remember("analyst", "analyse", DUE)

    assert schedule_runs.last("analyst", "analyse") == DUE
    assert schedule_runs.last("analyst", "other") is None
    assert schedule_runs.last("writer", "analyse") is None


def test_the_newest_ticks_of_all_entries_are_read_at_once_and_apart_by_agent(store: fakeredis.FakeRedis) -> None:
    schedule_runs.remember("analyst", "analyse", DUE)
    schedule_runs.remember("analyst", "again", DUE + HOUR)

    found = schedule_runs.all_last(["analyst", "writer", "analyst"])

    assert {"analyst": {"analyse": DUE.isoformat(), "again": (DUE + HOUR).isoformat()}, "writer": {}} == found


def test_started_ticks_are_known_one_by_one_and_apart_from_those_passed_over(store: fakeredis.FakeRedis) -> None:
    schedule_runs.remember("analyst", "analyse", DUE)
    schedule_runs.started("analyst", "analyse", DUE - HOUR)
    schedule_runs.started("analyst", "analyse", DUE - 2 * HOUR)

    assert schedule_runs.newest_started("analyst", "analyse", 10) == [DUE - HOUR, DUE - 2 * HOUR]
    assert schedule_runs.newest_started("analyst", "analyse", 1) == [DUE - HOUR]
    assert schedule_runs.was_started("analyst", "analyse", DUE - HOUR)
    assert not schedule_runs.was_started("analyst", "analyse", DUE)
    assert not schedule_runs.was_started("analyst", "other", DUE - HOUR)
    assert schedule_runs.newest_started("writer", "analyse", 10) == []


def test_a_tick_that_was_started_twice_is_known_once(store: fakeredis.FakeRedis) -> None:
    for _ in range(2):
        schedule_runs.started("analyst", "analyse", DUE)

    assert schedule_runs.newest_started("analyst", "analyse", 10) == [DUE]


def test_only_the_newest_started_ticks_are_kept(store: fakeredis.FakeRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule_runs, "KEPT", 3)
    for number in (0, 4, 1, 3, 2):
        schedule_runs.started("analyst", "analyse", DUE + number * HOUR)

    assert schedule_runs.newest_started("analyst", "analyse", 10) == [DUE + number * HOUR for number in (4, 3, 2)]


@pytest.mark.parametrize("state", ["queued", "waiting", "claimed", "sending"])
def test_a_tick_that_is_to_run_or_running_is_open(store: fakeredis.FakeRedis, state: str) -> None:
    store.hset(Keys("analyst").call("tick:analyse:x"), "state", state)

    assert schedule_runs.any_open("analyst", ["tick:analyse:unknown", "tick:analyse:x"])


@pytest.mark.parametrize("state", ["done", "rejected", "cancelled", "unknown", "held"])
def test_a_tick_that_ended_or_waits_for_a_person_does_not_hold_up_the_next(
    store: fakeredis.FakeRedis, state: str
) -> None:
    store.hset(Keys("analyst").call("tick:analyse:x"), "state", state)

    assert not schedule_runs.any_open("analyst", ["tick:analyse:x"])


def test_no_ticks_are_not_open(store: fakeredis.FakeRedis) -> None:
    assert not schedule_runs.any_open("analyst", [])
