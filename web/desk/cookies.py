"""The desk's cookies: for this server alone, out of reach of scripts, and over https only where that is spoken."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

import settings
from web import hosts

#: The id of the session, the name that was given last, and what the next page should say of the change just made.
SESSION, NAME, SAID = "desk", "desk-name", "desk-said"
#: Seconds that a browser remembers the name: a year.
_NAME_SECONDS = 365 * 86_400


def is_secure(request: Request) -> bool:
    """Return whether the browser speaks https to us, directly or through a proxy that ends it."""
    public = urlsplit(settings.current().public_url)
    is_public = public.scheme == "https" and hosts.read(request.headers) == (public.hostname or "").lower()
    return request.url.scheme == "https" or is_public


def read(request: Request, name: str) -> str:
    """Return the value of a cookie; empty if there is none."""
    return request.cookies.get(_name(request, name), "")


def write(request: Request, response: Response, name: str, value: str, seconds: int) -> None:
    """Let the browser keep a value for so many seconds; 0 removes it."""
    response.set_cookie(
        _name(request, name), value, max_age=seconds, path="/", secure=is_secure(request), httponly=True, samesite="lax"
    )


def remember_name(request: Request, response: Response, name: str) -> None:
    """Let the browser keep the name that a person gave."""
    write(request, response, NAME, name.encode(errors="replace").hex(), _NAME_SECONDS)


def remembered_name(request: Request) -> str:
    """Return the name that a person gave before; empty if there is none."""
    try:
        return bytes.fromhex(read(request, NAME)).decode()
    except ValueError:
        return ""


def _name(request: Request, name: str) -> str:
    """Return the name of a cookie; with this prefix a browser takes it from this host over https only."""
    return f"__Host-{name}" if is_secure(request) else name
