"""Where in a delivery a value stands, as the table of routes writes it: `body:data.text`, `header:X-Event`, `text:feed`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: What `find` answers where nothing stands; a null in the body is a value.
MISSING: Any = object()

KINDS = ("body", "header", "text")


class PlaceError(ValueError):
    """Raised when a place is written in a way nobody can find."""


@dataclass(frozen=True)
class FieldPath:
    """One place; a path's names are joined by dots, and a number picks from a list."""

    kind: str
    name: str

    @classmethod
    def read(cls, text: str) -> FieldPath:
        """The place that this text names; raises PlaceError."""
        kind, colon, name = text.partition(":")
        if kind not in KINDS or not colon or not name or (kind == "body" and not all(name.split("."))):
            raise PlaceError(f"{text!r} is no place; write body:path.to.value, header:Name or text:words")
        return cls(kind, name)

    def find(self, headers: Mapping[str, str], body: Mapping[str, Any]) -> Any:
        """The value that stands there, or MISSING."""
        if self.kind == "text":
            return self.name
        if self.kind == "header":
            return headers.get(self.name, MISSING)
        value: Any = body
        for name in self.name.split("."):
            value = _step(value, name)
        return value


def _step(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return value.get(name, MISSING)
    if isinstance(value, list) and name.isascii() and name.isdecimal() and int(name) < len(value):
        return value[int(name)]
    return MISSING


def is_storable(text: str) -> bool:
    """False for half a character, which JSON can spell and nothing can store."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
