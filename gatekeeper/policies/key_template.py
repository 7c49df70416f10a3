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

#: Characters. A longer key carries text where an identity belongs.
MAX_KEY = 300

#: Types with one spelling per value. The order of a set differs between processes, and a model may gain a field.
_IDENTITIES = (str, int, float, Decimal, UUID, date, time, timedelta)
#: Stands for None. It differs from every text: a `%` in a value is escaped, so `n` never follows it.
_NONE = "%none"


class Template:
    """A text with argument names in braces.

    With ':' between the fields, different values never give the same text. With another separator they may; the second
    call is then refused as a mismatch, because the ledger also compares the arguments.
    """

    def __init__(self, text: str, parameters: Collection[str], what: str) -> None:
        """Parse the template.

        Args:
            text: The template.
            parameters: The names of the task's arguments.
            what: What error messages call the template.

        Raises:
            PolicyError: the text is not a template, or names something that is not an argument.

        """
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
        """Return the text for one call's arguments.

        Raises:
            InvalidArguments: the text is longer than MAX_KEY, or a value is not an identity.

        """
        key = "".join(lit if name is None else lit + self._escaped(name, arguments[name]) for lit, name in self._parts)
        if len(key) > MAX_KEY:
            raise InvalidArguments(f"{self.text!r} gives a key of {len(key)} characters; at most {MAX_KEY} are allowed")
        return key

    def _escaped(self, name: str, value: Any) -> str:
        """Return a value with `:`, `%` and control characters percent-encoded, so that it cannot run into the next field."""
        plain = value.value if isinstance(value, enum.Enum) else value
        if plain is None:
            return _NONE
        if not isinstance(plain, _IDENTITIES):
            kind = type(value).__name__
            raise InvalidArguments(
                f"{self.text!r}: {name} is a {kind}; a key takes a text, a number, a date, a UUID or an enum"
            )
        text = str(plain)
        if len(text) > 4 * MAX_KEY:  # normalizing takes time quadratic in the length
            raise InvalidArguments(f"{self.text!r}: {name} has {len(text)} characters; a key has at most {MAX_KEY}")
        text = unicodedata.normalize("NFC", text)  # é has two encodings; use one
        return "".join(f"%{ord(c):02X}" if c in ":%" or unicodedata.category(c) == "Cc" else c for c in text)


def _parse(text: str, what: str) -> list[tuple[str, str | None, str | None, str | None]]:
    try:
        return list(Formatter().parse(text))
    except ValueError as error:
        raise PolicyError(f"{what} {text!r} is not a template: {error}") from None
