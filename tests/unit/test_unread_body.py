"""An answer that did not wait for the body: the rest of it is read first, as far as it is worth it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from web import unread_body
from web.unread_body import UnreadBody

PIECE = 64 * 1024


@dataclass
class Client:
    """A client that sends a body in pieces, and notes what it gets, and how much had been read by then."""

    pieces: int
    is_slow: bool = False
    read: int = 0
    answer: list[Message] = field(default_factory=list)
    read_before_answer: int = 0

    async def receive(self) -> Message:
        if self.is_slow:
            await asyncio.Event().wait()
        self.read += 1
        return {"type": "http.request", "body": b"x" * PIECE, "more_body": self.read < self.pieces}

    async def send(self, message: Message) -> None:
        if not self.answer:
            self.read_before_answer = self.read
        self.answer.append(message)

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.answer[0]["headers"])


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer without a look at the body."""
    await PlainTextResponse("no", 401)(scope, receive, send)


async def refuse_later(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer after the first piece."""
    await receive()
    await PlainTextResponse("too large", 413)(scope, receive, send)


async def give_up(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer, and say that the connection ends."""
    await PlainTextResponse("too slow", 408, {"Connection": "close"})(scope, receive, send)


def ask(app: Any, client: Client, headers: Iterable[tuple[bytes, bytes]] = ((b"content-length", b"5000000"),)) -> None:
    scope = {"type": "http", "method": "POST", "path": "/", "headers": list(headers)}
    asyncio.run(UnreadBody(app)(scope, client.receive, client.send))


@pytest.mark.parametrize("app", [refuse, refuse_later])
@pytest.mark.parametrize("headers", [[(b"content-length", b"5000000")], [(b"transfer-encoding", b"chunked")]])
def test_the_whole_body_is_read_before_the_answer_and_the_connection_stays(
    app: Any, headers: list[tuple[bytes, bytes]]
) -> None:
    client = Client(pieces=77)

    ask(app, client, headers)

    assert client.read_before_answer == 77
    assert b"connection" not in client.headers
    assert client.answer[0]["status"] in {401, 413}


def test_a_body_without_end_is_read_up_to_a_limit_and_the_connection_closed() -> None:
    client = Client(pieces=10_000)

    ask(refuse, client)

    assert unread_body.MAX_DROPPED < client.read * PIECE <= unread_body.MAX_DROPPED + 2 * PIECE
    assert client.headers[b"connection"] == b"close"


def test_a_body_that_does_not_arrive_is_not_waited_for_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread_body, "DROP_SECONDS", 0.05)
    client = Client(pieces=2, is_slow=True)

    ask(refuse, client)

    assert client.answer[0]["status"] == 401
    assert client.headers[b"connection"] == b"close"


@pytest.mark.parametrize(
    ("app", "headers"),
    [
        (give_up, [(b"content-length", b"5000000")]),
        (refuse, [(b"content-length", b"5000000"), (b"expect", b"100-continue")]),
    ],
)
def test_nothing_is_read_of_a_client_that_is_slow_or_waits_to_be_asked(
    app: Any, headers: list[tuple[bytes, bytes]]
) -> None:
    client = Client(pieces=77)

    ask(app, client, headers)

    assert client.read == 0
    assert client.headers[b"connection"] == b"close"


def test_a_request_without_a_body_is_answered_as_it_is() -> None:
    client = Client(pieces=1)

    ask(refuse, client, [])

    assert client.read == 0
    assert b"connection" not in client.headers
