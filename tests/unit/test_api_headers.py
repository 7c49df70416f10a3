"""The headers of the API, as clients write them: Idempotency-Key, Prefer, and wrong tokens of many addresses."""

from __future__ import annotations

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from gatekeeper.run import known
from web.api import idempotency, preference
from web.api.wrong_tokens import BURST, MAX_ADDRESSES, WrongTokens


def request(*headers: tuple[str, str]) -> Request:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return Request({"type": "http", "method": "POST", "headers": raw})


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ('"8e03978e-40d5-43dd-bc93-6894a57f9324"', "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ('"two words"', "two words"),
        (r'"a \"quoted\" \\ one"', r'a "quoted" \ one'),
        ("k" * 200, "k" * 200),
    ],
)
def test_a_key_is_read_quoted_and_bare(header: str, key: str) -> None:
    assert idempotency.read(request(("Idempotency-Key", header))) == key


@pytest.mark.parametrize("header", ["", '"', '""', 'a"b', "two words", r'"\n"', "é", "\x7f", "k" * 201])
def test_what_is_not_a_key_is_400(header: str) -> None:
    with pytest.raises(HTTPException) as refusal:
        idempotency.read(request(("Idempotency-Key", header)))

    assert refusal.value.status_code == 400


def test_two_keys_are_400_and_none_is_empty() -> None:
    with pytest.raises(HTTPException):
        idempotency.read(request(("Idempotency-Key", "a"), ("Idempotency-Key", "a")))

    assert idempotency.read(request()) == ""


def test_a_call_has_its_program_and_its_key_in_its_id_and_no_two_keys_share_one() -> None:
    assert idempotency.call_id("ci", "t.run", "a") == "api:ci:t.run:a"
    assert idempotency.call_id("ci", "t.run", "a:b c/%") == "api:ci:t.run:a%3Ab%20c%2F%25"


def test_a_long_key_gives_an_id_that_can_be_stored() -> None:
    first, second = (idempotency.call_id("ci", "t.run", ":" * 199 + end) for end in "ab")

    assert known.is_id(first)
    assert known.is_id(second)
    assert first != second


def test_the_digest_is_of_the_arguments_in_any_order() -> None:
    assert idempotency.digest({"a": 1, "b": 2}) == idempotency.digest({"b": 2, "a": 1})
    assert idempotency.digest({"a": 1}) != idempotency.digest({"a": 2})


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ((), None),
        (("wait=10",), 10),
        (("respond-async, wait=10",), 10),
        (("respond-async", "Wait = 10"), 10),
        (('wait="10"; foo=bar',), 10),
        (("wait=0",), 0),
        (("wait=3600",), 30),
        (("wait=-1",), None),
        (("wait=1.5",), None),
        (("wait=" + "9" * 5000,), None),
        (("wait", "return=minimal"), None),
        (("wait=",), None),
    ],
)
def test_the_seconds_to_wait_are_read_from_any_spelling(headers: tuple[str, ...], seconds: int | None) -> None:
    assert preference.seconds(request(*(("Prefer", value) for value in headers))) == seconds


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_an_address_may_send_so_many_wrong_tokens_and_then_one_a_second() -> None:
    clock = Clock()
    wrong = WrongTokens(clock)
    for _ in range(BURST):
        assert wrong.seconds_to_wait("192.0.2.1") == 0
        wrong.count("192.0.2.1")

    assert wrong.seconds_to_wait("192.0.2.1") == 1
    assert wrong.seconds_to_wait("192.0.2.2") == 0

    clock.seconds += 1
    assert wrong.seconds_to_wait("192.0.2.1") == 0
    wrong.count("192.0.2.1")
    assert wrong.seconds_to_wait("192.0.2.1") == 1

    clock.seconds += 3600
    assert wrong.seconds_to_wait("192.0.2.1") == 0


def test_the_addresses_of_one_ipv6_network_count_together() -> None:
    wrong = WrongTokens(Clock())
    for number in range(BURST):
        wrong.count(f"2001:db8::{number:x}")

    assert wrong.seconds_to_wait("2001:db8::ffff") > 0
    assert wrong.seconds_to_wait("2001:db8:0:1::1") == 0


def test_only_so_many_addresses_are_remembered() -> None:
    wrong = WrongTokens(Clock())
    for number in range(MAX_ADDRESSES + 10):
        wrong.count(f"address {number}")

    assert len(wrong._ends) == MAX_ADDRESSES
