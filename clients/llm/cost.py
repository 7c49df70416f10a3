"""The tokens that a request to a model cost: as the provider reports them, or estimated where it does not."""

from __future__ import annotations

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
    """Return what a request cost that has a reply.

    Args:
        usage: The `usage` object of the reply, or anything else that stands there.
        *texts: What was sent and what came back, for an estimate where `usage` is missing or not plausible.

    """
    if reported := _reported(usage):
        return Cost(reported)
    return Cost(estimated=-(-sum(len(text.encode("utf-8", "replace")) for text in texts) // BYTES_PER_TOKEN))


def _reported(usage: Any) -> int:
    """Return the number of tokens in a `usage` object; 0 if it is missing or not plausible."""
    total = dig(usage, "total_tokens")
    if total is None:
        parts = (dig(usage, name) for name in ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens"))
        total = sum(part for part in parts if isinstance(part, int))
    if not isinstance(total, int) or isinstance(total, bool):
        return 0
    return total if 0 <= total <= MAX_TOKENS else 0
