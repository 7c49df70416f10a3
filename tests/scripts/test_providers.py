"""permit.lua and report.lua: who may ask a provider now, and what its answers do to the next who wants to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from state.limits import Denied, Outcome, Permit, ProviderKeys, ProviderLimits, permit, report
from tests.harness import Valkey, until

LIMITS = ProviderLimits(burst=3, every_ms=1000, after=2, cooldown_ms=60_000, probe_ms=30_000)
GENEROUS = ProviderLimits(burst=1000, every_ms=1, after=2, cooldown_ms=60_000, probe_ms=30_000)
RECORD = ProviderKeys("groq").record


@pytest.fixture
def redis(valkey: Valkey) -> Redis:
    return valkey.client()


def permitted(redis: Redis, question: str = "q", limits: ProviderLimits = GENEROUS) -> Permit:
    given = permit("groq", question, limits)
    assert isinstance(given, Permit), given
    return given


def denied(redis: Redis, question: str = "q", limits: ProviderLimits = GENEROUS) -> Denied:
    given = permit("groq", question, limits)
    assert isinstance(given, Denied), given
    return given


def expect(denial: Denied, why: str, seconds: float) -> None:
    assert denial.why == why
    assert denial.retry_after == pytest.approx(seconds, abs=5)


def fail(redis: Redis, times: int = 1) -> str:
    return [report(permitted(redis), "failed", "HTTP 500") for _ in range(times)][-1]


def pass_time(redis: Redis, field: str) -> None:
    assert redis.hexists(RECORD, field)
    redis.hset(RECORD, field, 1)


def dump(redis: Redis) -> dict[str, Any]:
    return {str(key): redis.hgetall(key) for key in redis.scan_iter()}


# Rate


def test_a_burst_goes_through_at_once_and_then_one_by_one(redis: Redis) -> None:
    for _ in range(3):
        permitted(redis, limits=LIMITS)

    refusal = denied(redis, limits=LIMITS)
    assert refusal.why == "our own rate is used up"
    assert 0 < refusal.retry_after <= 1

    redis.hincrbyfloat(RECORD, "tat_ms", -1000)
    permitted(redis, limits=LIMITS)
    denied(redis, limits=LIMITS)


def test_a_denial_takes_nothing(redis: Redis) -> None:
    for _ in range(3):
        permitted(redis, limits=LIMITS)
    before = dump(redis)

    denied(redis, limits=LIMITS)

    assert dump(redis) == before


def test_of_many_at_once_as_many_as_the_burst_go_through(redis: Redis, together: Callable[..., list[Any]]) -> None:
    limits = ProviderLimits(burst=5, every_ms=60_000, after=2, cooldown_ms=60_000, probe_ms=30_000)

    given = together(24, lambda number: permit("groq", str(number), limits))

    assert sum(isinstance(one, Permit) for one in given) == 5


# Breaker


def test_failures_in_a_row_open_the_breaker_for_its_cooldown(redis: Redis) -> None:
    assert [fail(redis), fail(redis)] == ["counted", "opened"]

    refusal = denied(redis)
    assert refusal.why == "breaker open: HTTP 500"
    assert refusal.retry_after == pytest.approx(60, abs=5)


def test_a_success_between_failures_starts_the_count_again(redis: Redis) -> None:
    fail(redis)
    assert report(permitted(redis), "ok") == "works"

    assert fail(redis) == "counted"


def test_after_the_cooldown_there_is_one_probe(redis: Redis, together: Callable[..., list[Any]]) -> None:
    fail(redis, 2)
    pass_time(redis, "open_until_ms")

    given = together(24, lambda number: permit("groq", str(number), GENEROUS))

    assert sum(isinstance(one, Permit) for one in given) == 1
    assert {one.why for one in given if isinstance(one, Denied)} == {"breaker is probing"}


def test_a_good_probe_closes_the_breaker(redis: Redis) -> None:
    fail(redis, 2)
    pass_time(redis, "open_until_ms")

    assert report(permitted(redis), "ok") == "works"

    permitted(redis)
    assert fail(redis) == "counted"


def test_a_bad_probe_opens_it_again(redis: Redis) -> None:
    fail(redis, 2)
    pass_time(redis, "open_until_ms")

    assert fail(redis) == "opened"

    assert denied(redis).retry_after == pytest.approx(60, abs=5)


def test_a_probe_nobody_reported_is_lost_after_its_time(redis: Redis) -> None:
    fail(redis, 2)
    pass_time(redis, "open_until_ms")
    lost = permitted(redis)
    assert denied(redis).retry_after == pytest.approx(30, abs=5)

    pass_time(redis, "probe_until_ms")
    permitted(redis)

    assert report(lost, "ok") == "stays open"  # the second probe decides
    assert denied(redis).why == "breaker is probing"


@pytest.mark.parametrize("outcome", ["ok", "failed", "barred"])
def test_an_answer_to_an_earlier_request_does_not_move_an_open_breaker(redis: Redis, outcome: Outcome) -> None:
    early = permitted(redis)
    fail(redis, 2)
    before = redis.hgetall(RECORD)

    assert report(early, outcome, seconds=9999) == "stays open"

    assert redis.hgetall(RECORD) == before


def test_barred_opens_the_breaker_at_once_and_for_as_long_as_said(redis: Redis) -> None:
    assert report(permitted(redis), "barred", "HTTP 401", 900) == "opened"

    expect(denied(redis), "breaker open: HTTP 401", 900)


def test_a_bad_probe_after_a_bar_opens_the_breaker_again(redis: Redis) -> None:
    report(permitted(redis), "barred", "HTTP 401", 900)
    pass_time(redis, "open_until_ms")

    assert fail(redis) == "opened"

    expect(denied(redis), "breaker open: HTTP 500", 60)


# Pause


def test_a_pause_holds_everybody_back_and_counts_as_no_failure(redis: Redis) -> None:
    fail(redis)

    assert report(permitted(redis), "later", "HTTP 429", 30) == "pauses"

    expect(denied(redis, "another"), "it asked for a pause", 30)
    assert redis.hget(RECORD, "failures") == "1"


def test_the_longer_of_two_pauses_counts(redis: Redis) -> None:
    first, second = permitted(redis), permitted(redis)

    report(first, "later", seconds=30)
    report(second, "later", seconds=5)

    assert denied(redis).retry_after == pytest.approx(30, abs=5)


def test_an_answer_that_came_meanwhile_does_not_end_a_pause(redis: Redis) -> None:
    first, second = permitted(redis), permitted(redis)
    report(first, "later", seconds=30)

    report(second, "ok")

    assert denied(redis).why == "it asked for a pause"


def test_a_probe_that_is_told_to_wait_leaves_the_probe_to_the_next(redis: Redis) -> None:
    fail(redis, 2)
    pass_time(redis, "open_until_ms")
    report(permitted(redis), "later", seconds=30)
    pass_time(redis, "not_before_ms")

    permitted(redis)

    assert denied(redis).why == "breaker is probing"


def test_no_pause_is_longer_than_a_day(redis: Redis) -> None:
    report(permitted(redis), "later", seconds=1e12)

    assert denied(redis).retry_after == pytest.approx(24 * 3600, abs=5)


# Questions


def test_a_refused_question_is_kept_from_the_provider_and_others_are_not(redis: Redis) -> None:
    assert report(permitted(redis, "long"), "refused", "HTTP 400", 3600) == "works"

    expect(denied(redis, "long"), "it refused this question before", 3600)
    permitted(redis, "short")
    assert isinstance(permit("minimax", "long", GENEROUS), Permit)


def test_a_question_refused_for_no_time_may_be_asked(redis: Redis) -> None:
    assert report(permitted(redis), "refused", "HTTP 400", 0) == "works"

    until(lambda: permitted(redis), what="a millisecond to pass")


def test_everything_is_forgotten_in_time(redis: Redis) -> None:
    asked = permitted(redis)
    assert redis.pttl(RECORD) > 0
    report(asked, "ok")
    fail(redis)
    report(permitted(redis, "long"), "refused", "HTTP 400", 3600)

    assert all(redis.pttl(key) > 0 for key in redis.scan_iter())


def test_a_report_after_redis_lost_its_data_counts_from_the_start(redis: Redis) -> None:
    asked = permitted(redis)
    redis.flushall()

    assert report(asked, "failed") == "counted"
    assert redis.pttl(RECORD) > 0
    redis.flushall()
    assert report(asked, "ok") == "works"
    assert dump(redis) == {}
