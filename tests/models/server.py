"""A server of models that does what a test tells it: it answers, lies, drips, breaks off, or says no.

It shares no code with the product. Each request takes the next of the behaviours given; the last one stays.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any, cast

from tests.web_server import WebServer

JSON = "application/json"
HTML = "text/html; charset=utf-8"


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def system(self) -> str:
        return str(self.body["messages"][0]["content"])


Behaviour = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        provider = cast("_Server", self.server).provider
        behaviour = provider.take(Asked(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        behaviour(self)

    def log_message(self, format: str, *args: Any) -> None:
        """The list of what was asked is the log."""

    def send(
        self,
        status: int,
        data: bytes,
        kind: str = JSON,
        *,
        length: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


class _Server(WebServer):
    provider: ModelServer


class ModelServer:
    """A running server on a port of its own; `asked` is every request so far."""

    def __init__(self) -> None:
        self._server = _Server(Handler)
        self._server.provider = self
        self._lock = threading.Lock()
        self._behaviours: list[Behaviour] = []
        self.asked: list[Asked] = []
        self._server.start()

    @property
    def url(self) -> str:
        return f"{self._server.url}/v1"

    def will(self, *behaviours: Behaviour) -> ModelServer:
        with self._lock:
            self._behaviours = list(behaviours)
        return self

    def take(self, asked: Asked) -> Behaviour:
        with self._lock:
            self.asked.append(asked)
            return self._behaviours[0] if len(self._behaviours) == 1 else self._behaviours.pop(0)

    def close(self) -> None:
        self._server.close()


# Behaviours


def completion(text: str | None, *, finish: str | None = "stop", usage: Any = None) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42} if usage is None else usage,
    }


def says(text: str | None, *, finish: str | None = "stop", usage: Any = None) -> Behaviour:
    """A sound chat completion with this reply."""
    return lambda handler: handler.send(200, json.dumps(completion(text, finish=finish, usage=usage)).encode())


def sends(status: int, content: Any = None, kind: str = JSON, retry_after: str | None = None) -> Behaviour:
    """Any status, with any body."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return lambda handler: handler.send(status, data, kind, headers=headers)


def breaks_off(text: str) -> Behaviour:
    """Half of an answer, and the connection closes."""
    data = json.dumps(completion(text)).encode()

    def behave(handler: Handler) -> None:
        handler.send(200, data[: len(data) // 2], length=len(data))
        handler.close_connection = True

    return behave


def drips_its_body(handler: Handler) -> None:
    """A byte now and then, so that no single read ever times out."""
    handler.send(200, b"", length=1_000_000)
    _drip(handler, b" ")


def drips_its_headers(handler: Handler) -> None:
    handler.send_response(200)
    handler.flush_headers()
    _drip(handler, b"X-Still: here\r\n")


def _drip(handler: Handler, data: bytes) -> None:
    for _ in range(2000):  # a hundred seconds; ends when the client hangs up
        handler.wfile.write(data)
        handler.wfile.flush()
        time.sleep(0.05)
