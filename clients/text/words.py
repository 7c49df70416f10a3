"""Short pieces of prose: white space on one line, counts and lists in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BeforeValidator

#: Small numbers in words.
NUMBER_WORDS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


def one_line(value: object) -> object:
    """Replace each run of white space in a text by one space; return any other value unchanged."""
    return " ".join(value.split()) if isinstance(value, str) else value


#: A text on one line, for the fields of pydantic models.
OneLine = Annotated[str, BeforeValidator(one_line)]


def counted(number: int, one: str, many: str) -> str:
    """Return a count in words, such as `one key is held` or `13 keys are held`."""
    word = NUMBER_WORDS[number] if number < len(NUMBER_WORDS) else f"{number:,}"
    return f"{word} {one if number == 1 else many}"


def listed(parts: Sequence[str]) -> str:
    """Join parts as `a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def capitalized(text: str) -> str:
    """Return the text with a capital letter at its beginning."""
    return f"{text[:1].upper()}{text[1:]}"
