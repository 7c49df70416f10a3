"""What JSON can hold without changing it: what goes into the register comes out of it in the worker."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

#: Levels of lists and dicts. Arguments and results are small facts; libraries on the way give up at a few hundred.
DEEPEST = 100


#: How kombu marks values that JSON has no word for: an object of exactly these names would be read as another value.
RESERVED = {"__type__", "__value__"}

NO_NUMBER = "holds NaN or an infinity, which JSON cannot; use None, or a text"
NO_UNICODE = "holds half a character; send valid Unicode"


class NotJson(ValueError):
    """Raised for a value that JSON cannot hold; says what it is."""


def dumps(value: Any, *, sort_keys: bool = False) -> str:
    """A value of dicts, lists, texts, numbers, booleans and None as JSON text; raises NotJson."""
    try:
        text = json.dumps(value, sort_keys=sort_keys, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except RecursionError:
        raise NotJson(f"is nested deeper than {DEEPEST} levels") from None
    except (TypeError, ValueError) as error:
        raise NotJson(_mistake(error)) from None
    if not is_unicode(text):
        raise NotJson(NO_UNICODE)
    if text.count("[") + text.count("{") > DEEPEST and _is_deep(value):
        raise NotJson(f"is nested deeper than {DEEPEST} levels")
    return text


def is_unicode(text: str) -> bool:
    """False for a lone surrogate, which JSON can spell and nothing can store."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_changed(value: Any) -> bool:
    """Whether something in there becomes something else in JSON: bytes, a set, a key that is not a text."""
    return any(
        isinstance(one, bytes | bytearray | set | frozenset)
        or (isinstance(one, dict) and not all(isinstance(name, str) for name in one))
        for one in _inside(value)
    )


def check_names(value: Any, text: str) -> None:
    """Raise NotJson for an object that no message of Celery can carry; `text` is the value as JSON."""
    if "__type__" in text and any(isinstance(one, dict) and one.keys() == RESERVED for one in _inside(value)):
        raise NotJson(
            "holds an object with just the names __type__ and __value__, which Celery keeps to itself; rename one"
        )


def has_no_number(value: Any) -> bool:
    """Whether NaN or an infinity is in there."""
    return any(isinstance(one, float) and not math.isfinite(one) for one in _inside(value))


def _inside(value: Any) -> Iterator[Any]:
    """The value, and all that is in it."""
    todo = [value]
    while todo:
        one = todo.pop()
        yield one
        if isinstance(one, dict):
            todo += one.values()
        elif isinstance(one, list | tuple):
            todo += one


def _mistake(error: Exception) -> str:
    words = str(error)
    if "not JSON compliant" in words:
        return NO_NUMBER
    if "integer string conversion" in words:
        return "holds a whole number that is too long to be written; use a text"
    return f"cannot be written as JSON: {words}"


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST + 1):
        inner = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list))
        level = [each for values in inner for each in values if isinstance(each, dict | list)]
    return bool(level)
