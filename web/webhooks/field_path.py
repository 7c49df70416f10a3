"""Find a field of a delivery by a path from the table of routes: `body:data.text`, `header:X-Event`, `text:feed`.

`string:chat.id` is a field of the body whose number becomes text; `has:message.text` is the path itself, here
`message.text`, if the body has that field: it tells events apart that have no type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: What `find` returns for a missing field; a null in the body is a value.
MISSING: Any = object()

#: The kinds whose name is a path in the body.
IN_BODY = ("body", "string", "has")
KINDS = (*IN_BODY, "header", "text")


@dataclass(frozen=True)
class FieldPath:
    """The place of a field; dots join the names of a path in the body, and a number selects an item of a list."""

    kind: str
    name: str

    @classmethod
    def parse(cls, text: Any) -> FieldPath:
        """Parse a text of the table; raise ValueError, which says what to write, if it is not a field path."""
        kind, _, name = str(text).partition(":")
        if kind not in KINDS or not name or (kind in IN_BODY and not all(name.split("."))):
            raise ValueError(f"{text!r} is not a field path; write body:path.to.value, header:Name or text:fixed text")
        return cls(kind, name)

    def find(self, headers: Mapping[str, str], body: Mapping[str, Any]) -> Any:
        """Return the value of the field, or MISSING.

        Args:
            headers: The headers of the delivery.
            body: The JSON object in its body.

        """
        if self.kind == "text":
            return self.name
        if self.kind == "header":
            return headers.get(self.name, MISSING)
        value: Any = body
        for name in self.name.split("."):
            value = _child(value, name)
        if self.kind == "has":
            return MISSING if value is MISSING else self.name
        if self.kind == "string" and isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return value


def _child(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return value.get(name, MISSING)
    if isinstance(value, list) and name.isascii() and name.isdecimal() and int(name) < len(value):
        return value[int(name)]
    return MISSING
