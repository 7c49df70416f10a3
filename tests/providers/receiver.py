"""A receiver of alerts: what apprise's `json://` sends is kept before any answer leaves."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.harness.polling import until
from tests.web_server import WebServer


class Receiver:
    """A server in the test's process, which outlives the processes under test.

    `answers` decides about each message: it returns the status, after a wait if it wants to.
    """

    def __init__(self, port: int = 0) -> None:
        self.messages: list[dict[str, str]] = []
        self.answers: Callable[[dict[str, str]], int] = lambda _: 200
        self._server = _Server(port, self)
        self._server.start()

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/"

    def told(self, words: str) -> list[dict[str, str]]:
        """The messages whose title has these words, in order."""
        return [each for each in self.messages if words in each["title"]]

    def wait_for(self, words: str, deadline: float = 60.0) -> dict[str, str]:
        """Wait for a message whose title has these words; return the first."""
        return until(lambda: self.told(words), deadline, f"an alert with: {words}")[0]

    def close(self) -> None:
        self._server.close()


def slowly(seconds: float) -> Callable[[dict[str, str]], int]:
    """Return an answer for `answers`: 200 after so many seconds."""

    def answer(_: dict[str, str]) -> int:
        time.sleep(seconds)
        return 200

    return answer


class _Server(WebServer):
    def __init__(self, port: int, receiver: Receiver) -> None:
        super().__init__(_Handler, port)
        self.receiver = receiver


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.receiver.messages.append(message)
        self.send_response(self.server.receiver.answers(message))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
