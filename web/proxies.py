"""What a proxy adds to a request: one that has any of it was made somewhere else, whatever address it comes from."""

from __future__ import annotations

from collections.abc import Iterable

_NAMES = frozenset({"forwarded", "via", "x-real-ip", "true-client-ip", "cf-connecting-ip"})
_PREFIX = "x-forwarded-"


def left_a_trace(headers: Iterable[str]) -> bool:
    """Whether one of these headers is a proxy's. False does not prove that there was none."""
    names = [name.lower() for name in headers]
    return any(name in _NAMES or name.startswith(_PREFIX) for name in names)
