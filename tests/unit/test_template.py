"""Key templates: two different sets of values never give the same key."""

from __future__ import annotations

import enum
import unicodedata
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from gatekeeper.errors import InvalidArguments, PolicyError
from gatekeeper.policies.key_template import MAX_KEY, Template

PARAMETERS = ("destination", "post_id")

#: Characters that could run into the next field: the separator, the escape, control characters, Unicode, and others.
texts = st.text(
    alphabet=st.one_of(st.sampled_from(":%{}/ \n\r\t\0\x1f\x7f025AFaf"), st.characters(codec="utf-8")), max_size=12
)
pairs = st.tuples(texts, texts)


def filled(values: tuple[Any, Any], text: str = "publish:{destination}:{post_id}") -> str:
    return Template(text, PARAMETERS, "key").fill(dict(zip(PARAMETERS, values, strict=True)))


def test_a_key_reads_as_it_is_written() -> None:
    assert filled(("feed", "hello")) == "publish:feed:hello"


@given(pairs, pairs)
@example(("a:b", "c"), ("a", "b:c"))
@example((":", ""), ("", ":"))
@example(("%3A", ""), (":", ""))
@example(("%", "25"), ("%25", ""))
@example(("\n", ""), ("%0A", ""))
def test_two_different_sets_of_values_never_give_the_same_key(one: tuple[str, str], other: tuple[str, str]) -> None:
    assume(composed(one) != composed(other))

    assert filled(one) != filled(other)


def composed(values: tuple[str, str]) -> list[str]:
    """Both have one spelling, so texts that look the same are the same."""
    return [unicodedata.normalize("NFC", value) for value in values]


def test_a_letter_has_one_spelling_whichever_keyboard_wrote_it() -> None:
    composed_by_one, composed_of_two = "\N{LATIN SMALL LETTER E WITH ACUTE}", "e\N{COMBINING ACUTE ACCENT}"

    assert filled((composed_by_one, "x")) == filled((composed_of_two, "x"))


def test_a_template_whose_fields_touch_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"has nothing before \{post_id\}; write a ':' between two fields"):
        Template("{destination}{post_id}", PARAMETERS, "tasks.poster.post: key")


@given(texts)
def test_a_key_is_one_line_of_printable_text(value: str) -> None:
    key = filled((value, "x"))

    assert not any(ord(character) < 32 or ord(character) == 127 for character in key)
    assert key.count(":") == 2


@given(texts)
@example("None")
@example("%none")
def test_nothing_is_not_the_text_that_says_nothing(value: str) -> None:
    assert filled((None, "x")) != filled((value, "x"))


class Colour(enum.Enum):
    RED = "red:ish"


class Level(enum.IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("value", "reads"),
    [
        (7, "7"),
        (True, "True"),
        (Decimal("1.50"), "1.50"),
        (Colour.RED, "red%3Aish"),
        (Level.HIGH, "3"),
        (date(2026, 11, 22), "2026-11-22"),
        (datetime(2026, 11, 22, 6, tzinfo=UTC), "2026-11-22 06%3A00%3A00+00%3A00"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("ünïcödé", "ünïcödé"),
    ],
)
def test_identities_of_other_types_have_one_spelling(value: Any, reads: str) -> None:
    assert filled((value, "x")) == f"publish:{reads}:x"


class Author(BaseModel):
    name: str


@pytest.mark.parametrize(
    "value", [{"b", "a"}, ["a"], {"a": 1}, ("a",), Author(name="ada"), SecretStr("s"), b"bytes", object()]
)
def test_what_has_no_single_spelling_cannot_stand_in_a_key(value: Any) -> None:
    """The order of a set differs between processes, and every secret is written as the same asterisks."""
    with pytest.raises(InvalidArguments, match="destination"):
        filled((value, "x"))


def test_a_key_that_grows_too_long_is_refused() -> None:
    with pytest.raises(InvalidArguments, match=f"at most {MAX_KEY}"):
        filled(("x" * MAX_KEY, "y"))


@pytest.mark.parametrize(
    "text", ["{}", "{0}", "{nobody}", "{post_id.name}", "{post_id[0]}", "{post_id!r}", "{post_id:>9}"]
)
def test_a_field_that_is_no_argument_is_refused_with_those_there_are(text: str) -> None:
    with pytest.raises(PolicyError, match="destination, post_id"):
        Template(text, PARAMETERS, "tasks.poster.post: key")


@pytest.mark.parametrize("text", ["{post_id", "post_id}", "{{post_id}"])
def test_a_brace_without_its_partner_is_refused(text: str) -> None:
    with pytest.raises(PolicyError, match="is not a template"):
        Template(text, PARAMETERS, "tasks.poster.post: key")


def test_doubled_braces_stand_for_themselves() -> None:
    assert Template("a{{b}}{post_id}", PARAMETERS, "key").fill({"post_id": "x"}) == "a{b}x"
