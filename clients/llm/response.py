"""What a model wrote, made into a value of a schema, or refused. Everything in it is a stranger's text."""

from __future__ import annotations

import re
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from clients.text import strict_json
from gatekeeper.redact import clean

Value = TypeVar("Value", bound=BaseModel)

#: Characters; more than any model may write within `max_tokens`.
MAX_REPLY = 200_000
#: How many of a reply's mistakes are told.
MAX_MISTAKES = 3

_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_FENCE = "```"


class UnusableReply(ValueError):
    """Raised for a reply that is no value of the schema; says why, in our words."""


def read(text: str, schema: type[Value]) -> Value:
    """The value in a reply: JSON, alone or in one code fence, after thoughts or without."""
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
    except Exception as error:  # validators are an agent's own code and meet here what nobody thought of
        raise UnusableReply(f"the reply broke a validator of {schema.__name__}: {type(error).__name__}") from error


def _unwrap(text: str) -> str:
    """Without thoughts and fence. A text that begins as JSON is taken whole: its strings may have fences too."""
    text = _THOUGHTS.sub("", text).strip()
    start, end = text.find(_FENCE), text.rfind(_FENCE)
    if text.startswith(("{", "[")) or start == end:
        return text
    return text[start + len(_FENCE) : end].strip().removeprefix("json").strip()


def _mistakes(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    told = [f"{'.'.join(map(str, one['loc'])) or 'all of it'}: {one['msg']}" for one in found[:MAX_MISTAKES]]
    return clean("; ".join(told))[:300]
