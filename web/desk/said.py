"""The sentence that the next page says of the change just made, carried by a cookie through the redirect."""

from __future__ import annotations

import base64
import binascii

from starlette.requests import Request
from starlette.responses import Response

from web.desk import cookies

#: Characters of a text; a browser keeps 4 kB.
MAX_TEXT = 700
#: Seconds in which the next page comes.
_SECONDS = 60


def write(request: Request, response: Response, text: str) -> None:
    """Let the next page say this."""
    cut = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
    value = base64.urlsafe_b64encode(cut.encode(errors="replace")).decode().rstrip("=")
    cookies.write(request, response, cookies.SAID, value, _SECONDS)


def read(request: Request) -> str:
    """Return what this page should say; empty if nothing."""
    value = cookies.read(request, cookies.SAID)
    try:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode()[: MAX_TEXT + 1]
    except (ValueError, binascii.Error):
        return ""


def forget(request: Request, response: Response) -> None:
    """Say it once only."""
    cookies.write(request, response, cookies.SAID, "", 0)
