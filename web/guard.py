"""What holds for every request and every answer: a Host that is ours, and headers that keep a browser from guessing.

A webhook may name any Host: it is signed, which a page in somebody's browser cannot do.
"""

from __future__ import annotations

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatekeeper.redact import clean
from web import hosts, problems
from web.headers import HEADERS

log = structlog.get_logger("gatehouse.web")

#: Characters of a Host that are repeated to whoever sent it.
SHOWN = 100

#: Where every request must be signed.
SIGNED = "/hooks/"


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is addressed to this server, and answer 400 to the rest."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        host = hosts.of(Headers(scope=scope))
        if hosts.is_ours(host) or scope["path"].startswith(SIGNED):
            await self._app(scope, receive, send_guarded)
        else:
            await _refuse(host)(scope, receive, send_guarded)


def _refuse(host: str | None) -> ASGIApp:
    if host is None:
        why = "the Host header is not the name of a server"
    else:
        name = host[:SHOWN]
        why = f"this server does not answer to the name {name}; if it should, set PUBLIC_URL, such as https://{name}"
    log.warning("host refused", why=clean(why))

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await problems.of_http(Request(scope), HTTPException(400, why))(scope, receive, send)

    return answer
