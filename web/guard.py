"""Middleware around every request: refuse a Host that is not ours, and add the security headers to every answer.

A webhook may have any Host, because it is signed, and a page in a browser cannot sign it.
"""

from __future__ import annotations

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatekeeper.redact import clean
from web import hosts, problems
from web.headers import HEADERS

log = structlog.get_logger("gatehouse.web")

#: Characters of a refused Host that the answer repeats.
MAX_HOST_SHOWN = 100

#: The path below which every request must be signed.
SIGNED_PATHS = "/hooks/"


class Guard:
    """ASGI middleware for the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on requests for this server, and answer 400 to all others."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        host = hosts.read(Headers(scope=scope))
        if hosts.is_ours(host) or scope["path"].startswith(SIGNED_PATHS):
            await self._app(scope, receive, send_with_headers)
        else:
            reason = _refusal(host)
            log.warning("host refused", reason=clean(reason))
            await problems.response(Request(scope), 400, reason)(scope, receive, send_with_headers)


def _refusal(host: str | None) -> str:
    if host is None:
        return "the Host header is not the name of a server"
    name = host[:MAX_HOST_SHOWN]
    return f"this server does not answer to the name {name}; if it should, set PUBLIC_URL, such as https://{name}"
