"""The web server of the tests: a client that is gone is no news, and a handler that is wrong is."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.harness import patient
from tests.web_server import WebServer


class Handler(BaseHTTPRequestHandler):
    """Keeps its connection open, and breaks where it is told to."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/wrong":
            raise RuntimeError("a handler that is wrong")
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


class Server(WebServer):
    """Tells when a request is over, which is after an error was handled."""

    def __init__(self) -> None:
        super().__init__(Handler)
        self.is_over = threading.Event()

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.is_over.set()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.close()


def ask(server: WebServer, path: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.server_port), timeout=patient(5))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return connection


def test_a_client_that_resets_its_connection_is_not_reported(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    connection = ask(server, "/")
    assert connection.recv(100)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()

    assert server.is_over.wait(60)
    assert capsys.readouterr().err == ""


def test_a_handler_that_is_wrong_is_reported(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    with ask(server, "/wrong"):
        assert server.is_over.wait(60)

    assert "a handler that is wrong" in capsys.readouterr().err
