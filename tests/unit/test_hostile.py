"""Exceptions that raise when they are read are still described."""

from __future__ import annotations

import pytest

from gatekeeper import hostile
from gatekeeper.errors import UnstorableError
from gatekeeper.redact import MAX_TEXT, clean, describe, redacted
from gatekeeper.run.http_outcome import proves_nothing_was_sent
from tests.agents.raiser import ENDS


@pytest.mark.parametrize("how", sorted(ENDS))
def test_every_exception_is_described_in_one_storable_line(how: str) -> None:
    words = describe(ENDS[how]())

    assert words.encode()
    assert len(words) < MAX_TEXT + 100
    assert words.startswith(type(ENDS[how]()).__name__)


@pytest.mark.parametrize("how", sorted(ENDS))
def test_an_exception_that_cannot_be_looked_into_proves_nothing(how: str) -> None:
    assert not proves_nothing_was_sent(ENDS[how](), 0)


@pytest.mark.parametrize("how", ["no text", "no repr", "no args", "no traceback", "no cause", "no pickle", "huge"])
def test_what_celery_could_not_store_is_replaced_by_a_description(how: str) -> None:
    error = ENDS[how]()
    assert isinstance(error, Exception)

    shown = redacted(error)

    assert isinstance(shown, UnstorableError)
    assert type(error).__name__ in str(shown)


@pytest.mark.parametrize("error", [ValueError("plain"), ENDS["pickled ill"](), ENDS["SoftTimeLimitExceeded"]()])
def test_an_ordinary_exception_stays_itself(error: Exception) -> None:
    assert redacted(error) is error


def test_a_text_is_cut_before_it_is_cleaned_and_says_how_long_it_was() -> None:
    assert clean("x" * 10_000_000).endswith("… (10000000 characters)")


def test_a_subclass_of_str_cannot_hide_behind_its_own_methods() -> None:
    class Odd(str):
        __slots__ = ()

        def encode(self, *_: object) -> bytes:
            raise ValueError

    class Says(Exception):
        def __str__(self) -> str:
            return Odd("odd")

    assert hostile.text_of(Says()) == "odd"
    assert describe(Says()) == "Says: odd"
