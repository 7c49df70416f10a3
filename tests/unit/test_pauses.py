"""Retry-After, as servers write it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from gatekeeper.run import retry_after


@pytest.mark.parametrize(("text", "expected"), [("0", 0), ("7", 7), (" 7 ", 7), ("1.5", 1.5), ("-3", 0)])
def test_seconds_are_taken(text: str, expected: float) -> None:
    assert retry_after.seconds({"Retry-After": text}) == expected


@pytest.mark.parametrize(
    "text", ["", "soon", "nan", "inf", "1e999", "Wed, 99 Oct 2026 07:28:00 GMT", "\x00", "9" * 400]
)
def test_nonsense_is_no_pause(text: str) -> None:
    assert retry_after.seconds({"Retry-After": text}) is None


def test_no_header_is_no_pause() -> None:
    assert retry_after.seconds({}) is None


def test_a_date_counts_from_the_clock_of_its_server() -> None:
    headers = {"Date": "Wed, 21 Oct 1998 07:28:00 GMT", "Retry-After": "Wed, 21 Oct 1998 07:28:30 GMT"}

    assert retry_after.seconds(headers) == 30


def test_a_date_without_a_server_clock_counts_from_ours() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=1), usegmt=True)

    assert retry_after.seconds({"Retry-After": date}) == pytest.approx(60, abs=5)


def test_a_date_that_has_passed_is_no_time_to_wait() -> None:
    assert retry_after.seconds({"Retry-After": "Wed, 21 Oct 1998 07:28:30 GMT"}) == 0
