"""The fields of a form that a browser sent, read with limits on size, number and time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from gatekeeper.redact import clean
from state.terminal import one_line

#: Bytes: an edited post of 100,000 characters, each of which takes up to nine bytes in a form.
MAX_BODY = 1_000_000
MAX_FIELDS = 500
#: Seconds until the whole form must have arrived; a phone in a train needs some.
MAX_READ_SECONDS = 20.0
#: Characters of a reason.
MAX_WHY = 300

_TYPE = "application/x-www-form-urlencoded"


class Form:
    """The fields of one form; a field may have several values."""

    def __init__(self, fields: Mapping[str, Sequence[str]]) -> None:
        self._fields = fields

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def get(self, name: str) -> str:
        """Return the first value of a field, without white space around it; empty if it is missing."""
        return self.text(name).strip()

    def text(self, name: str) -> str:
        """Return the first value of a field as it was typed, with the line breaks of this system."""
        return (self._fields.get(name) or [""])[0].replace("\r\n", "\n")

    def all(self, name: str) -> list[str]:
        """Return every value of a field."""
        return list(self._fields.get(name, ()))

    def why(self) -> str:
        """Return the reason that a person gave, in one line and without secrets.

        Raises:
            HTTPException: 422 if there is none.

        """
        reason = clean(one_line(" ".join(self.get("why").split())))
        if not reason:
            raise HTTPException(422, "say why in one line; the next person who looks will read it")
        return reason[:MAX_WHY]


async def read(request: Request) -> Form:
    """Return the fields of a form.

    Raises:
        HTTPException: 400 if it cannot be read, 408 if it takes longer than MAX_READ_SECONDS, 413 if it is larger than
            MAX_BODY or has more than MAX_FIELDS fields, 415 if it is not a form.

    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _TYPE:
        raise HTTPException(415, f"send a form of the type {_TYPE}")
    try:
        async with asyncio.timeout(MAX_READ_SECONDS):
            body = await _collect(request)
    except TimeoutError:
        raise HTTPException(408, f"the form did not arrive within {MAX_READ_SECONDS:g} seconds") from None
    except ClientDisconnect:
        raise HTTPException(400, "the connection ended before the form did") from None
    if body.count(b"&") >= MAX_FIELDS:
        raise HTTPException(413, f"a form has at most {MAX_FIELDS} fields; nothing was changed")
    try:
        return Form(parse_qs(body.decode("ascii"), keep_blank_values=True, errors="strict"))
    except ValueError:
        raise HTTPException(400, "the form is not text in UTF-8") from None


async def _collect(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise HTTPException(413, f"a form has at most {MAX_BODY} bytes; nothing was changed")
    return bytes(body)
