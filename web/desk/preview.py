"""A payload as a person reads it: its fields as text, and the exact JSON with its digest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Characters of a text in a card; the page of the key has all of it.
MAX_IN_CARD = 3_000
#: Characters of a title that the heading shows.
MAX_TITLE = 200
#: Characters of a field beyond which it is text to read, not a value in a row.
_LONG = 90
#: Fields that are the title of a payload, the first that it has.
_TITLES = ("title", "subject", "name", "summary")


@dataclass(frozen=True)
class Field:
    """One field of a payload."""

    name: str
    text: str
    is_long: bool


@dataclass(frozen=True)
class Preview:
    """A payload, as text and as JSON."""

    title: str  #: empty if the payload has none
    fields: tuple[Field, ...]
    json: str
    digest: str
    size: int  #: characters of the JSON before it was cut
    is_cut: bool

    @property
    def shown_size(self) -> int:
        """The characters that it adds to a page."""
        return len(self.json) + sum(len(field.text) for field in self.fields)


def of(payload: Any, digest: str, limit: int | None = MAX_IN_CARD) -> Preview | None:
    """Return a payload for a page; None if nothing was to be sent.

    Args:
        payload: Any JSON value.
        digest: Of the payload, in hexadecimal digits.
        limit: Characters of each text that are shown; None for all.

    """
    if payload is None:
        return None
    text = json.dumps(payload, ensure_ascii=False, indent=2)
    named = payload if isinstance(payload, Mapping) else {"": payload}
    titled = next((name for name in _TITLES if isinstance(named.get(name), str)), None)
    title = str(named[titled]) if titled else ""
    fields = [
        Field(str(name), _text(value), _is_long(value))
        for name, value in named.items()
        if value not in ("", [], None) and (name != titled or len(title) > MAX_TITLE)
    ]
    cut = [Field(each.name, _cut(each.text, limit), each.is_long) for each in fields]
    return Preview(
        _cut(title, MAX_TITLE), tuple(cut), _cut(text, limit), digest, len(text),
        is_cut=limit is not None and (len(text) > limit or any(len(each.text) > limit for each in fields)),
    )  # fmt: skip


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False)


def _is_long(value: Any) -> bool:
    return isinstance(value, str) and (len(value) > _LONG or "\n" in value)


def _cut(text: str, limit: int | None) -> str:
    return text if limit is None or len(text) <= limit else f"{text[:limit]}…"
