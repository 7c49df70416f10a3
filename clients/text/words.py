"""Short pieces of prose: white space on one line, counts and lists in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import BeforeValidator

#: Characters that XML 1.0 forbids even when escaped: one of them would make a whole feed invalid.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

#: Small numbers in words.
NUMBER_WORDS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


def clean(text: str) -> str:
    r"""Remove the characters that no page, feed or provider can show; a second time changes nothing.

    Every text passes here where it is rendered, because decoding may bring such characters back: `&#12;`, `"\u0010"`.
    """
    return _FORBIDDEN.sub("", text)


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
