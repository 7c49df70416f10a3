"""Write numbers and lists in words."""

from __future__ import annotations

from collections.abc import Sequence

#: Small numbers in words.
NUMBER_WORDS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


def counted(number: int, one: str, many: str) -> str:
    """Return a count in words, such as `one key is held` or `13 keys are held`."""
    word = NUMBER_WORDS[number] if number < len(NUMBER_WORDS) else f"{number:,}"
    return f"{word} {one if number == 1 else many}"


def listed(parts: Sequence[str]) -> str:
    """Join parts as `a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
