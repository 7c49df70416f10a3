"""Key templates: `publish:{destination}:{post_id}` filled with a call's arguments."""

from __future__ import annotations

import enum
import unicodedata
from collections.abc import Collection, Mapping
from string import Formatter
from typing import Any

from gatekeeper.errors import InvalidArguments, PolicyError

#: Longer keys carry text where an identity belongs.
LONGEST_KEY = 300


class Template:
    """A text with argument names in braces; two different sets of values never give the same text."""

    def __init__(self, text: str, parameters: Collection[str], what: str) -> None:
        self.text = text
        self.fields: list[str] = []
        self._parts: list[tuple[str, str | None]] = []
        for literal, name, spec, conversion in _parse(text, what):
            if name is not None and (name not in parameters or spec or conversion):
                known = ", ".join(sorted(parameters)) or "none"
                raise PolicyError(
                    f"{what} {text!r} names {{{name}}}, which is no argument of the task; it has: {known}"
                )
            self._parts.append((literal, name))
            self.fields += [name] if name else []

    def fill(self, arguments: Mapping[str, Any]) -> str:
        """The text for one call's arguments; raises InvalidArguments if it grows too long."""
        key = "".join(lit if name is None else lit + _escape(arguments[name]) for lit, name in self._parts)
        if len(key) > LONGEST_KEY:
            raise InvalidArguments(
                f"{self.text!r} gives a key of {len(key)} characters; at most {LONGEST_KEY} are allowed"
            )
        return key


def _parse(text: str, what: str) -> list[tuple[str, str | None, str | None, str | None]]:
    try:
        return list(Formatter().parse(text))
    except ValueError as error:
        raise PolicyError(f"{what} {text!r} is not a template: {error}") from None


def _escape(value: Any) -> str:
    """Keep one value from reaching into its neighbours: `:` and `%` and control characters are percent-encoded."""
    text = str(value.value if isinstance(value, enum.Enum) else value)
    return "".join(f"%{ord(c):02X}" if c in ":%" or unicodedata.category(c) == "Cc" else c for c in text)
