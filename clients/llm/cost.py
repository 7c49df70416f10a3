"""The tokens that a request to a model cost: as the provider reports them, or estimated where it does not."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from clients.llm.dig import dig

#: Tokens. A reported usage above this is ignored as invalid.
MAX_TOKENS = 10_000_000
#: Bytes of UTF-8. English text has about four to a token.
BYTES_PER_TOKEN = 4


class Cost(NamedTuple):
    """The tokens of one request, prompt and reply together; one of the two numbers is 0."""

    reported: int = 0
    estimated: int = 0


def of(usage: Any, *texts: str) -> Cost:
    """Return the cost of a request.

    Args:
        usage: The `usage` object of the reply, or anything else that stands there.
        *texts: What was sent and what came back, for an estimate where `usage` is missing or not plausible; without any,
            nothing is estimated.

    """
    if reported := _reported(usage):
        return Cost(reported)
    size = sum(len(text.encode("utf-8", "replace")) for text in texts)
    return Cost(estimated=math.ceil(size / BYTES_PER_TOKEN))


def _reported(usage: Any) -> int:
    """Return the number of tokens in a `usage` object; 0 if it is missing or not plausible."""
    if (total := dig(usage, "total_tokens")) is not None:
        return total if _is_plausible(total) else 0
    for names in (("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens")):
        parts = [dig(usage, name) for name in names]
        if all(map(_is_plausible, parts)):
            return sum(parts)
    return 0


def _is_plausible(number: Any) -> bool:
    return type(number) is int and 0 <= number <= MAX_TOKENS
