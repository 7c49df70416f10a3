"""Parse JSON by the standard: Python's parser also accepts NaN and Infinity, which other parsers reject."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


def loads(text: str) -> Any:
    """Parse a JSON text.

    Raises:
        ValueError: it is not JSON, or a number in it is not finite.
        RecursionError: it is nested too deep.

    """
    return json.loads(text, parse_constant=_reject_constant, parse_float=_finite)


def first(text: str, start: int) -> tuple[Any, int]:
    """Parse the JSON value that begins at a position of a text in which line breaks and tabs may stand within texts.

    Returns:
        The value, and the position behind it.

    Raises:
        ValueError: there is none, or a number in it is not finite.
        RecursionError: it is nested too deep.

    """
    return _DECODER.raw_decode(text, start)


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


_DECODER = json.JSONDecoder(parse_constant=_reject_constant, parse_float=_finite, strict=False)
