"""Close the connection of a client that never finishes a request or never reads, and answer all others."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tests.harness.polling import until
from web import connections

#: Seconds that a limit of one second may take on a busy machine.
GENEROUS = 30.0
CONNECTIONS = 20


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer at once; read the body at /body first; answer with 20 MB at /much."""
    if scope["type"] != "http":
        return
    if scope["path"] == "/body":
        while (await receive()).get("more_body"):
            pass
    body = bytes(20_000_000) if scope["path"] == "/much" else b"ok"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(params=[HttpToolsProtocol, H11Protocol], ids=["httptools", "h11"])
def port(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 1.0)
    monkeypatch.setattr(connections, "EXCHANGE_SECONDS", 2.0)
    monkeypatch.setattr(connections, "CHECK_SECONDS", 0.1)
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", CONNECTIONS)
    protocol: Any = type("Watched", (request.param,), {})
    connections.install(protocol)
    connections.install(protocol)
    config = uvicorn.Config(
        application, port=0, http=protocol, log_level="error", lifespan="off", timeout_keep_alive=60
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=asyncio.run, args=[server.serve()], daemon=True)
    thread.start()
    until(lambda: server.started, GENEROUS, "uvicorn to start")
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(GENEROUS)


def client(port: int, sent: bytes = b"") -> socket.socket:
    one = socket.create_connection(("127.0.0.1", port), timeout=GENEROUS)
    one.sendall(sent)
    return one


def is_answered(port: int) -> bool:
    with client(port, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") as one:
        return one.recv(100).startswith(b"HTTP/1.1 200")


def is_disconnected(one: socket.socket, drip: bytes = b"") -> bool:
    """Return whether the server closes the connection while we send `drip` now and then."""
    one.settimeout(0.2)
    started = time.monotonic()
    while time.monotonic() - started < GENEROUS:
        try:
            if drip:
                one.sendall(drip)
            if not one.recv(65_536):
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


@pytest.mark.parametrize(
    ("sent", "drip"),
    [
        (b"", b""),
        (b"GET / HT", b""),
        (b"GET / HTTP/1.1\r\n", b"X: y\r\n"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b""),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n", b"X: y\r\n"),
        (b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", b"x"),
        (b"POST /other HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", b"x"),
        (b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["nothing", "half a line", "endless headers", "idle", "second request", "body", "unread body", "chunks"],
)
def test_a_client_that_does_not_finish_a_request_is_disconnected(port: int, sent: bytes, drip: bytes) -> None:
    with client(port, sent) as one:
        assert is_disconnected(one, drip)
    assert is_answered(port)


def test_a_client_that_does_not_read_is_disconnected(port: int) -> None:
    with client(port, b"GET /much HTTP/1.1\r\nHost: a\r\n\r\n") as one:
        time.sleep(4)  # reads nothing for longer than an exchange may take
        one.settimeout(GENEROUS)
        received = 0
        try:
            while data := one.recv(1_000_000):
                received += len(data)
        except OSError:
            pass
        assert received < 20_000_000


def test_headers_above_the_largest_size_are_refused(port: int) -> None:
    with client(port, b"GET / HTTP/1.1\r\n") as one:
        sent = 0
        try:
            while sent < 50_000_000:
                sent += one.send(b"X-A: " + b"a" * 8_000 + b"\r\n")
        except OSError:
            pass
        assert sent < 50_000_000
    assert is_answered(port)


def test_more_unfinished_requests_than_connections_do_not_stop_others(port: int) -> None:
    waiting = [client(port, b"GET / HTTP/1.1\r\n") for _ in range(5 * CONNECTIONS)]

    assert all(is_answered(port) for _ in range(10))

    for one in waiting:
        one.close()


def test_a_fast_client_may_send_many_requests_on_one_connection(port: int) -> None:
    with client(port) as one:
        started = time.monotonic()
        while time.monotonic() - started < 3:  # longer than any of the limits
            one.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = b""
            while not answer.endswith(b"ok"):
                answer += one.recv(1_000)
            assert answer.startswith(b"HTTP/1.1 200")
            time.sleep(0.2)
