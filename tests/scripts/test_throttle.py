"""throttle.lua: a burst at once, then evenly; what is held back takes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from state import limits
from tests.harness import Valkey

Together = Callable[[int, Callable[[int], Any]], list[Any]]


@pytest.fixture
def redis(valkey: Valkey) -> Redis:
    return valkey.client()


def pass_time(redis: Redis, ms: float, source: str = "a") -> None:
    redis.hincrbyfloat(limits.source_key(source), "tat_ms", -ms)


def test_a_burst_comes_through_and_the_next_is_told_how_long_to_wait(redis: Redis) -> None:
    waits = [limits.throttle("a", 3, 20_000) for _ in range(5)]

    assert waits[:3] == [0, 0, 0]
    assert all(19 < wait <= 20 for wait in waits[3:]), "who is held back takes nothing, so the wait does not grow"


def test_after_the_burst_they_come_evenly(redis: Redis) -> None:
    for _ in range(3):
        limits.throttle("a", 3, 20_000)
    pass_time(redis, 20_000)

    assert limits.throttle("a", 3, 20_000) == 0
    assert limits.throttle("a", 3, 20_000) > 0


def test_a_rate_of_fractions_of_a_millisecond_is_kept_too(redis: Redis) -> None:
    assert limits.throttle("a", 1, 0.25) == 0


def test_each_source_has_its_own(redis: Redis) -> None:
    limits.throttle("a", 1, 60_000)

    assert limits.throttle("b", 1, 60_000) == 0
    assert limits.throttle("a", 1, 60_000) > 0


def test_it_is_forgotten_when_nobody_comes(redis: Redis) -> None:
    limits.throttle("a", 3, 20_000)

    assert 0 < redis.pttl(limits.source_key("a")) <= 80_000


def test_many_processes_at_once_get_one_burst_together(redis: Redis, together: Together) -> None:
    waits = together(40, lambda _: limits.throttle("a", 10, 60_000))

    assert waits.count(0) == 10
