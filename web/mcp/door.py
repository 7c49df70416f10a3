"""The door of `/mcp`: who may come in, and by which requests. The protocol's own stream by GET is not offered."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from web import hosts
from web.api import access


class Door:
    """ASGI application: passes on the POST requests of known programs, with their token as `request.state.token`.

    Args:
        served: The application behind the door.

    """

    def __init__(self, served: ASGIApp) -> None:
        self._served = served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on.

        Raises:
            HTTPException: 405 unless it is a POST, 403 if it comes from a page of another site, 401 or 429 without a token.

        """
        request = Request(scope, receive)
        if request.method != "POST":
            raise HTTPException(405, "send POST: this server keeps no sessions and opens no streams", {"Allow": "POST"})
        origin = request.headers.get("origin")
        if origin is not None and not hosts.is_ours(urlsplit(origin).hostname):
            raise HTTPException(403, "a page of another site sent this request; its Origin is not this server")
        request.state.token = access.authenticate(request)
        await self._served(scope, receive, send)
