"""Parse a model's reply into a value of a schema. The reply is untrusted text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from clients.llm.completion_error import UnusableReply
from clients.text import strict_json
from gatekeeper.redact import clean

Value = TypeVar("Value", bound=BaseModel)

#: Characters; longer than any reply within `max_tokens`.
MAX_REPLY = 200_000
#: How many validation errors of a reply are reported.
MAX_MISTAKES = 3
#: Ends of thoughts, and beginnings of JSON, that are tried.
MAX_TRIES = 20

_TAG = r"(?:think|thinking|thoughts?|reasoning|reflection|analysis|scratchpad)"
#: How models mark where their thoughts begin and end, among them Mistral's, Kimi's and those of gpt-oss.
_BEGIN = re.compile(
    rf"\s*(?:<\s*{_TAG}\s*>|\[THINK\]|<\|begin_of_thought\|>|◁think▷|<\|channel\|>\s*analysis)", re.IGNORECASE
)
_END = re.compile(rf"<\s*/\s*{_TAG}\s*>|\[/THINK\]|<\|end_of_thought\|>|◁/think▷|<\|channel\|>\s*final\s*<\|message\|>", re.IGNORECASE)  # fmt: skip
#: What JSON begins with: an object with a name, or a list with a value.
_JSON = re.compile(r"\{\s{0,99}[\"}]|\[\s{0,99}[\[{\"\]0-9tfn-]")
#: What is kept, and what is dropped: a zero character as JSON writes it, a comma before a closing bracket.
_ZERO = re.compile(r"(\\\\)|\\u0000")
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', re.DOTALL)


def read(text: str, schema: type[Value]) -> Value:
    """Parse a reply.

    Args:
        text: One JSON object, alone or among other text: after thoughts, in a code fence, in prose.
        schema: The model to validate it with.

    Raises:
        UnusableReply: the reply is too long or empty, has no strict JSON, several answers, or none that
            matches the schema.

    """
    if len(text) > MAX_REPLY:
        raise UnusableReply(f"a reply of {len(text)} characters")
    if not text.strip("\ufeff\u200b\0 \t\r\n"):
        raise UnusableReply("an empty reply")
    mistakes: list[UnusableReply] = []
    for values in _values(text):
        fitting = [value for value in (_fit(each, schema, mistakes) for each in values) if value is not None]
        if len(fitting) > 1:
            raise UnusableReply("the reply has several answers")
        if fitting:
            return fitting[0]
    raise mistakes[0] if mistakes else UnusableReply("the reply is not JSON")


def _fit(value: Any, schema: type[Value], mistakes: list[UnusableReply]) -> Value | None:
    """Return the value that matches the schema, without zero characters; None, and one mistake more, if it does not."""
    text = _ZERO.sub(lambda match: match[1] or "", json.dumps(value))
    try:
        return schema.model_validate_json(text)
    except ValidationError as error:
        why = f"the reply does not fit {schema.__name__}: {_mistakes(error)}"
    except Exception as error:  # noqa: BLE001 - a schema's validators are an agent's code and can raise anything
        why = f"the reply broke a validator of {schema.__name__}: {type(error).__name__}"
    mistakes.append(UnusableReply(why))
    return None


def _values(text: str) -> Iterator[list[Any]]:
    """Yield the JSON objects and lists in a reply, outside its thoughts; where its thoughts end may be open."""
    for answer in _answers(text):
        yield list(_decoded(answer))
        yield list(_decoded(_TRAILING_COMMA.sub(lambda match: match[1] or "", answer)))


def _answers(text: str) -> Iterator[str]:
    """Yield what may be the answer in a reply: all of it if it begins as JSON, else what stands behind its thoughts."""
    if text.lstrip().startswith('"'):
        with suppress(ValueError, RecursionError):
            text = str(strict_json.loads(text))  # JSON within a text of JSON
    ends = [match.end() for match in _END.finditer(text)]
    if not ends or _JSON.match(text.strip("\ufeff\u200b\0 \t\r\n")):
        yield "" if _BEGIN.match(text) else text
    for end in ends[: -MAX_TRIES - 1 : -1]:
        yield text[end:]


def _decoded(text: str) -> Iterator[Any]:
    """Yield each JSON object or list in a text; nothing after one that is broken, whose parts could pass for an answer."""
    at = 0
    for _ in range(MAX_TRIES):
        begin = _JSON.search(text, at)
        if begin is None:
            return
        try:
            value, at = strict_json.first(text, begin.start())
        except (ValueError, RecursionError):
            return
        yield value


def _mistakes(error: ValidationError) -> str:
    mistakes = error.errors(include_url=False, include_context=False, include_input=False)[:MAX_MISTAKES]
    told = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'all of it'}: {each['msg']}" for each in mistakes)
    return clean(told)[:300]
