"""The field of a form that decides about a key: it names the key, and the version of it that the person saw.

It is ASCII, because browsers change line breaks, and because pages spell invisible characters out.
"""

from __future__ import annotations

import json
from typing import NamedTuple, Protocol

from starlette.exceptions import HTTPException


class Ticket(NamedTuple):
    """One key as a page showed it."""

    agent: str
    key: str
    version: str


class _Shown(Protocol):
    @property
    def agent(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def version(self) -> str: ...


def write(shown: _Shown) -> str:
    """Return the ticket of a key for a field of a form."""
    return json.dumps([shown.agent, shown.key, shown.version])


def read(text: str) -> Ticket:
    """Return what a form names; raise HTTPException 400 if no page of ours wrote it."""
    try:
        parts = json.loads(text)
    except (ValueError, RecursionError):
        parts = None
    is_whole = (
        isinstance(parts, list) and len(parts) == len(Ticket._fields) and all(isinstance(part, str) for part in parts)
    )
    if not is_whole or not all(parts):
        raise HTTPException(
            400, "the form does not say which key it is about; open the desk again, and nothing is lost"
        )
    return Ticket(*parts)
