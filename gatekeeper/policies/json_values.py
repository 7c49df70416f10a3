"""Values that JSON holds without a change: what a caller registers is what the worker reads."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

#: Levels of lists and dicts. Arguments and results are small facts; some libraries fail at a few hundred levels.
MAX_DEPTH = 100

#: kombu marks values that JSON has no type for with exactly these names, and would read such an object as another value.
RESERVED = {"__type__", "__value__"}

NOT_FINITE = "holds NaN or an infinity, which JSON cannot; use None, or a text"
NOT_UNICODE = "holds half a character; send valid Unicode"
TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels"

#: Made once: `json.dumps` with options makes an encoder for each call, which takes longer than a small value.
_ENCODE, _ENCODE_SORTED = (
    json.JSONEncoder(sort_keys=in_order, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
    for in_order in (False, True)
)


class NotJson(ValueError):
    """Raised for a value that JSON cannot hold; the message completes a sentence that begins with the value's name."""


def dumps(value: Any, *, in_message: bool = False) -> str:
    """Return a value of dicts, lists, texts, numbers, booleans and None as JSON text.

    Args:
        value: The value.
        in_message: A Celery message carries it, and equal values give equal texts.

    Raises:
        NotJson: JSON, or a message, cannot hold the value.

    """
    try:
        text = (_ENCODE_SORTED if in_message else _ENCODE)(value)
    except RecursionError:
        raise NotJson(TOO_DEEP) from None
    except (TypeError, ValueError) as error:
        raise NotJson(_problem(error)) from None
    if not is_valid_unicode(text):
        raise NotJson(NOT_UNICODE)
    if text.count("[") + text.count("{") > MAX_DEPTH and is_deeper_than(MAX_DEPTH + 1, value):
        raise NotJson(TOO_DEEP)
    if in_message and "__type__" in text and any(_is_reserved(one) for one in _parts(value)):
        raise NotJson("holds an object with just the names __type__ and __value__, which Celery reserves; rename one")
    return text


def is_valid_unicode(text: str) -> bool:
    """Return False for a text with a lone surrogate, which JSON can escape but UTF-8 cannot encode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def changes_in_json(value: Any) -> bool:
    """Return whether JSON would change a part of the value: bytes, a set, or a dict key that is not a text."""
    return any(
        isinstance(one, bytes | bytearray | set | frozenset)
        or (isinstance(one, dict) and not all(isinstance(name, str) for name in one))
        for one in _parts(value)
    )


def _is_reserved(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == RESERVED


def has_non_finite(value: Any) -> bool:
    """Return whether the value contains NaN or an infinity."""
    return any(isinstance(one, float) and not math.isfinite(one) for one in _parts(value))


def _parts(value: Any) -> Iterator[Any]:
    """Yield the value and everything inside it."""
    todo = [value]
    while todo:
        one = todo.pop()
        yield one
        if isinstance(one, dict):
            todo += one.values()
        elif isinstance(one, list | tuple):
            todo += one


def _problem(error: Exception) -> str:
    message = str(error)
    if "not JSON compliant" in message:
        return NOT_FINITE
    if "integer string conversion" in message:
        return "holds a whole number that is too long to be written; use a text"
    return f"cannot be written as JSON: {message}"


def is_deeper_than(levels: int, value: Any) -> bool:
    """Return whether dicts and lists are nested in the value deeper than so many levels."""
    level = [value]
    for _ in range(levels):
        children = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list))
        level = [each for values in children for each in values if isinstance(each, dict | list)]
    return bool(level)
