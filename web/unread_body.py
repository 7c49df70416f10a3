"""Read the rest of a body that an answer did not wait for, so that the answer arrives.

A server that closes a connection while bytes still arrive resets it. A proxy that is still sending the body then loses the
answer, and tells its client 502 instead of our 401 or 413.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Bytes of a body that are read and dropped, and the seconds until then.
MAX_DROPPED = 8 * 1024 * 1024
DROP_SECONDS = 3.0


class UnreadBody:
    """ASGI application around another one, each of whose answers is sent when the body has arrived or is too large."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; before an answer begins, read what the application has left of the body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(scope, receive)

        async def send_after_body(message: Message) -> None:
            if message["type"] == "http.response.start" and not body.has_ended:
                headers = MutableHeaders(scope=message)
                if headers.get("connection") != "close":
                    await body.drop()
                if not body.has_ended:
                    headers["Connection"] = "close"
            await send(message)

        await self._app(scope, body.receive, send_after_body)


class _Body:
    """The body of one request, and how far it was read."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        headers = Headers(scope=scope)
        self.has_ended = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        #: The client sends its body only when it is asked for, and goes without once it has an answer.
        self._waits = headers.get("expect", "").lower() == "100-continue"

    async def receive(self) -> Message:
        """Return the next message, as the application asked."""
        self._waits = False
        message = await self._receive()
        self.has_ended = message["type"] == "http.disconnect" or not message.get("more_body")
        return message

    async def drop(self) -> None:
        """Read what is left, within MAX_DROPPED and DROP_SECONDS."""
        if self._waits:
            return
        dropped = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(DROP_SECONDS):
                while not self.has_ended and dropped <= MAX_DROPPED:
                    dropped += len((await self.receive()).get("body", b""))
