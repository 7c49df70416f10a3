"""JSON from strangers: Python's parser takes NaN and numbers beyond all bounds, which no other reader would."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


def loads(text: str) -> Any:
    """The value of a JSON text; raises ValueError for what is not JSON, RecursionError for what is too deep."""
    return json.loads(text, parse_constant=_no_number, parse_float=_finite)


def _no_number(word: str) -> NoReturn:
    raise ValueError(word)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number
