"""Durations and rates as authors write them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gatekeeper.errors import PolicyError
from gatekeeper.policies.durations import duration_ms, parse_rate


@pytest.mark.parametrize(
    ("said", "ms"),
    [
        ("500ms", 500),
        ("30s", 30_000),
        ("2m", 120_000),
        ("1h30m", 5_400_000),
        ("1d", 86_400_000),
        ("1m1m", 120_000),
        (timedelta(minutes=2), 120_000),
        (timedelta(milliseconds=1), 1),
    ],
)
def test_a_duration_reads_as_people_say_it(said: str | timedelta, ms: int) -> None:
    assert duration_ms(said) == ms


@pytest.mark.parametrize(
    "said", ["", "5", "5 m", "5m ", "five minutes", "1.5h", "-5m", "5M", "m", "1h 30m", "5m\n", 30, 2.5, None]
)
def test_what_is_no_duration_is_refused_with_an_example(said: Any) -> None:
    with pytest.raises(PolicyError, match="write for example '30s'"):
        duration_ms(said)


@pytest.mark.parametrize("said", ["0s", "0h0m", timedelta(0), timedelta(seconds=-1), timedelta(microseconds=1)])
def test_a_duration_of_zero_is_refused(said: str | timedelta) -> None:
    with pytest.raises(PolicyError, match="must be longer than zero"):
        duration_ms(said)


@pytest.mark.parametrize(
    ("said", "count", "ms"),
    [
        ("10/hour", 10, 3_600_000),
        ("30/day", 30, 86_400_000),
        ("5/second", 5, 1000),
        ("1/minute", 1, 60_000),
        ("2/week", 2, 604_800_000),
        ("10 / hours", 10, 3_600_000),
        ("1/5m", 1, 300_000),
        ("3/1h30m", 3, 5_400_000),
    ],
)
def test_a_rate_reads_as_people_say_it(said: str, count: int, ms: int) -> None:
    assert parse_rate(said) == (count, ms)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "10",
        "/hour",
        "10/",
        "0/hour",
        "-1/hour",
        "1.5/hour",
        "ten/hour",
        "10/h/d",
        "10 per hour",
        "10/hour!",
        10,
        None,
    ],
)
def test_what_is_no_rate_is_refused_with_an_example(said: Any) -> None:
    with pytest.raises(PolicyError, match="write for example '10/hour'"):
        parse_rate(said)


@pytest.mark.parametrize("said", ["10/month", "10/hourss", "10/0s", "10/s", "1/5"])
def test_a_rate_over_an_unknown_period_is_refused_with_an_example(said: str) -> None:
    with pytest.raises(PolicyError, match="write for example"):
        parse_rate(said)
