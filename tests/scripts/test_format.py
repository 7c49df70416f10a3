"""The format of what Redis holds: written into a Redis that has none, and a newer one is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

import settings
from state import redis_format
from state.errors import NewerRedisFormat, StoreError
from state.processes import liveness
from tests.harness import Valkey

SENTENCE = (
    r"Redis holds data of format 3, and this version of Gatehouse reads up to format 2; start the version that wrote it"
)


@pytest.fixture
def redis(valkey: Valkey) -> Redis:
    return valkey.client()


def test_a_redis_of_a_version_without_formats_gets_ours(redis: Redis) -> None:
    redis_format.check()

    assert redis.get(redis_format.key()) == "1"


def test_a_newer_format_is_refused_and_stays(redis: Redis) -> None:
    redis.set(redis_format.key(), 3)

    with pytest.raises(NewerRedisFormat, match=SENTENCE):
        redis_format.check()
    with pytest.raises(SystemExit, match=f"gatehouse: {SENTENCE}"):
        redis_format.check_at_start()
    assert redis.get(redis_format.key()) == "3"


def test_a_redis_that_was_emptied_gets_it_back_with_the_next_report_of_a_process(redis: Redis) -> None:
    liveness.report(liveness.ThisProcess("worker", "1"))

    assert redis.get(redis_format.key()) == "1"


def test_a_process_that_runs_already_is_told_with_its_next_report(redis: Redis) -> None:
    redis.set(redis_format.key(), 3)

    with pytest.raises(NewerRedisFormat, match=SENTENCE):
        liveness.report(liveness.ThisProcess("worker", "1"))


def test_a_redis_that_is_away_is_compared_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise StoreError("Connection refused")

    monkeypatch.setattr(redis_format, "check", away)

    redis_format.check_at_start()


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Settings that this test may change, as the environment of another process would."""
    yield monkeypatch
    settings.current.cache_clear()


@pytest.mark.parametrize(
    ("name", "value", "needed"),
    [
        ("AUTONOMY_CLERK", "ask", "2"),
        ("AUTONOMY_CLERK", "observe", "2"),
        ("AUTONOMY_CLERK", "act", "1"),
        ("JOURNAL_URL", "postgresql://here/journal", "2"),
    ],
)
def test_settings_that_an_older_version_does_not_know_keep_it_away(
    redis: Redis, chosen: pytest.MonkeyPatch, name: str, value: str, needed: str
) -> None:
    chosen.setenv(name, value)
    settings.current.cache_clear()

    redis_format.check()
    at_start = redis.getdel(redis_format.key())
    liveness.report(liveness.ThisProcess("worker", "1"))

    assert (at_start, redis.get(redis_format.key())) == (needed, needed)


def test_a_process_that_needs_less_does_not_lower_it(redis: Redis) -> None:
    redis_format.raise_to(redis, 2)

    redis_format.check()
    redis_format.raise_to(redis, 1)
    liveness.report(liveness.ThisProcess("worker", "1"))

    assert redis.get(redis_format.key()) == "2"
