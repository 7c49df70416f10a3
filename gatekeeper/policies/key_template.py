"""Key templates: `publish:{destination}:{post_id}` filled with a call's arguments."""

from __future__ import annotations

import enum
import unicodedata
from collections.abc import Collection, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from string import Formatter
from typing import Any
from uuid import UUID

from gatekeeper.errors import InvalidArguments, PolicyError

#: Longer keys carry text where an identity belongs.
MAX_KEY = 300

#: What has one spelling. A set is written in another order by each process, a model may gain a field.
_IDENTITIES = (str, int, float, Decimal, UUID, date, time, timedelta)
#: None, which must not be the text "None": a value's own `%` never stands before an `n`.
_NOTHING = "%none"


class Template:
    """A text with argument names in braces.

    With ':' between the fields two different sets of values never give the same text. With another separator they may;
    the second call is then refused as a mismatch, because the ledger compares the arguments too.
    """

    def __init__(self, text: str, parameters: Collection[str], what: str) -> None:
        self.text = text
        self.fields: list[str] = []
        self._parts: list[tuple[str, str | None]] = []
        for literal, name, spec, conversion in _parse(text, what):
            if name is not None and (name not in parameters or spec or conversion):
                known = ", ".join(sorted(parameters)) or "none"
                raise PolicyError(
                    f"{what} {text!r} names {{{name}}}, which is not an argument of the task; it has: {known}"
                )
            if name is not None and self.fields and not literal:
                raise PolicyError(f"{what} {text!r} has nothing before {{{name}}}; write a ':' between two fields")
            self._parts.append((literal, name))
            self.fields += [name] if name else []

    def fill(self, arguments: Mapping[str, Any]) -> str:
        """The text for one call's arguments; raises InvalidArguments if it grows too long."""
        key = "".join(lit if name is None else lit + self._escaped(name, arguments[name]) for lit, name in self._parts)
        if len(key) > MAX_KEY:
            raise InvalidArguments(f"{self.text!r} gives a key of {len(key)} characters; at most {MAX_KEY} are allowed")
        return key

    def _escaped(self, name: str, value: Any) -> str:
        plain = value.value if isinstance(value, enum.Enum) else value
        if plain is None:
            return _NOTHING
        if not isinstance(plain, _IDENTITIES):
            kind = type(value).__name__
            raise InvalidArguments(
                f"{self.text!r}: {name} is a {kind}; what identifies is a text, a number, a date, a UUID or an enum"
            )
        text = str(plain)
        if len(text) > 4 * MAX_KEY:  # to normalize it takes time by the square of its length
            raise InvalidArguments(f"{self.text!r}: {name} has {len(text)} characters; a key has at most {MAX_KEY}")
        return _escape(text)


def _parse(text: str, what: str) -> list[tuple[str, str | None, str | None, str | None]]:
    try:
        return list(Formatter().parse(text))
    except ValueError as error:
        raise PolicyError(f"{what} {text!r} is not a template: {error}") from None


def _escape(text: str) -> str:
    """Keep one value from reaching into its neighbours: `:` and `%` and control characters are percent-encoded."""
    text = unicodedata.normalize("NFC", text)  # one spelling of é, whichever keyboard wrote it
    return "".join(f"%{ord(c):02X}" if c in ":%" or unicodedata.category(c) == "Cc" else c for c in text)
