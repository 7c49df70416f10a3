"""What is known of a schedule's ticks; plain reads and writes, so a server in memory is enough."""

from __future__ import annotations

from datetime import UTC, datetime

import fakeredis
import pytest

from state import ticks
from state.names import Names

DUE = datetime(2026, 11, 22, 6, tzinfo=UTC)


@pytest.fixture
def store() -> fakeredis.FakeRedis:
    return fakeredis.FakeRedis(decode_responses=True)


def test_an_entry_that_never_ran_has_no_last_tick(store: fakeredis.FakeRedis) -> None:
    assert ticks.last(store, "analyst", "analyse") is None


def test_the_newest_tick_of_each_entry_is_remembered_apart(store: fakeredis.FakeRedis) -> None:
    ticks.remember(store, "analyst", "analyse", DUE)

    assert ticks.last(store, "analyst", "analyse") == DUE
    assert ticks.last(store, "analyst", "other") is None
    assert ticks.last(store, "writer", "analyse") is None


@pytest.mark.parametrize("state", ["queued", "waiting", "claimed", "sending"])
def test_a_tick_that_is_to_run_or_running_is_open(store: fakeredis.FakeRedis, state: str) -> None:
    store.hset(Names("analyst").call("tick:analyse:x"), "state", state)

    assert ticks.is_open(store, "analyst", "tick:analyse:x")


@pytest.mark.parametrize("state", ["done", "rejected", "cancelled", "unknown", "held"])
def test_a_tick_that_ended_or_waits_for_a_person_does_not_hold_up_the_next(
    store: fakeredis.FakeRedis, state: str
) -> None:
    store.hset(Names("analyst").call("tick:analyse:x"), "state", state)

    assert not ticks.is_open(store, "analyst", "tick:analyse:x")
