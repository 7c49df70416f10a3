"""Parse a model's reply into a value of a schema. The reply is untrusted text."""

from __future__ import annotations

import re
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from clients.text import strict_json
from gatekeeper.redact import clean

Value = TypeVar("Value", bound=BaseModel)

#: Characters; longer than any reply within `max_tokens`.
MAX_REPLY = 200_000
#: How many validation errors of a reply are reported.
MAX_MISTAKES = 3

_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_FENCE = "```"


class UnusableReply(ValueError):
    """Raised for a reply that does not match the schema; the message does not quote the reply."""


def read(text: str, schema: type[Value]) -> Value:
    """Parse a reply.

    Args:
        text: JSON, alone or in one code fence, possibly after `<think>…</think>`.
        schema: The model to validate it with.

    Raises:
        UnusableReply: the reply is too long, empty, not strict JSON, or does not match the schema.

    """
    if len(text) > MAX_REPLY:
        raise UnusableReply(f"a reply of {len(text)} characters")
    inner = _unwrap(text)
    if not inner:
        raise UnusableReply("an empty reply")
    try:
        strict_json.loads(inner)
    except (ValueError, RecursionError):
        raise UnusableReply("the reply is not JSON") from None
    try:
        return schema.model_validate_json(inner)
    except ValidationError as error:
        raise UnusableReply(f"the reply does not fit {schema.__name__}: {_mistakes(error)}") from None
    except Exception as error:  # a schema's validators are an agent's code and can raise anything
        raise UnusableReply(f"the reply broke a validator of {schema.__name__}: {type(error).__name__}") from error


def _unwrap(text: str) -> str:
    """Remove thoughts and a code fence. A text that begins as JSON is left whole: its strings may contain fences."""
    text = _THOUGHTS.sub("", text).strip()
    start, end = text.find(_FENCE), text.rfind(_FENCE)
    if text.startswith(("{", "[")) or start == end:
        return text
    return text[start + len(_FENCE) : end].strip().removeprefix("json").strip()


def _mistakes(error: ValidationError) -> str:
    mistakes = error.errors(include_url=False, include_context=False, include_input=False)[:MAX_MISTAKES]
    return clean("; ".join(f"{'.'.join(map(str, each['loc'])) or 'all of it'}: {each['msg']}" for each in mistakes))[
        :300
    ]
