"""Look into parsed JSON from a stranger, in which anything may stand anywhere."""

from __future__ import annotations

from typing import Any


def dig(value: Any, *path: str | int) -> Any:
    """Return the value at a path of names and positions; None where there is none."""
    for step in path:
        if isinstance(step, str) and isinstance(value, dict):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list) and step < len(value):
            value = value[step]
        else:
            return None
    return value
