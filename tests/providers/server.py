"""A provider of posts in this process: a real HTTP server with its own truth, which behaves as a test tells it.

It shares no code with the product. What it publishes is counted in `posts`, whatever it answered.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from tests.web_server import WebServer


@dataclass(frozen=True)
class Asked:
    """One request as it came in; `form` is its query and its body together."""

    method: str
    path: str
    headers: dict[str, str]
    form: dict[str, str]


@dataclass(frozen=True)
class Says:
    """An answer; None in place of one hangs up."""

    status: int
    content: Any
    cut: bool = False


Answer = Says | None
#: What happens to a request that publishes: it gets how to publish, and answers.
Way = Callable[[Callable[[], Answer]], Answer]


def applies(publish: Callable[[], Answer]) -> Answer:
    return publish()


def applies_and_hangs_up(publish: Callable[[], Answer]) -> Answer:
    publish()
    return None


def applies_and_says(status: int, content: Any = None) -> Way:
    def way(publish: Callable[[], Answer]) -> Answer:
        publish()
        return Says(status, content or {"error": "something went wrong"})

    return way


def applies_and_is_cut_off(publish: Callable[[], Answer]) -> Answer:
    said = publish()
    assert said is not None
    return Says(said.status, said.content, cut=True)


def hangs_up(publish: Callable[[], Answer]) -> Answer:
    return None


def says(status: int, content: Any = None) -> Way:
    return lambda publish: Says(status, content or {"error": "no"})


class Hold:
    """A way that keeps a request waiting, before or after it applies; `arrived` says that one is waiting."""

    def __init__(self, *, applied: bool) -> None:
        self.arrived, self.gone = threading.Event(), threading.Event()
        self._applied = applied

    def __call__(self, publish: Callable[[], Answer]) -> Answer:
        said = publish() if self._applied else None
        self.arrived.set()
        self.gone.wait(60)
        return said or publish()


class Provider:
    """A running server on a port of its own."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.asked: list[Asked] = []
        self.reset()
        self._server = _Server(_Handler)
        self._server.provider = self
        self._server.start()

    def reset(self) -> None:
        """Nothing happened yet, and all goes well."""
        self.asked.clear()
        self.posts: list[Any] = []
        self.ways: list[Way] = []
        self.refuses: dict[str, Way] = {}

    @property
    def url(self) -> str:
        return self._server.url

    def will(self, *ways: Way) -> None:
        """How the next requests that publish go; those after them go well."""
        self.ways = list(ways)

    def requests(self, method: str, ending: str = "") -> list[Asked]:
        return [asked for asked in self.asked if asked.method == method and asked.path.endswith(ending)]

    def take(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        for ending, way in self.refuses.items():
            if asked.path.endswith(ending):
                return way(lambda: self.answer(asked))
        return self.answer(asked)

    def publishing(self, publish: Callable[[], Answer]) -> Answer:
        """Publish in the next of the ways given."""

        def alone() -> Answer:
            with self.lock:
                return publish()

        with self.lock:
            way = self.ways.pop(0) if self.ways else applies
        return way(alone)

    def answer(self, asked: Asked) -> Answer:
        raise NotImplementedError

    def close(self) -> None:
        self._server.close()


class _Server(WebServer):
    provider: Provider


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._take()

    def do_POST(self) -> None:
        self._take()

    def log_message(self, format: str, *args: Any) -> None:
        """The list of what was asked is the log."""

    def _take(self) -> None:
        target = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        form = dict(parse_qsl(target.query) + parse_qsl(body, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        said = cast("_Server", self.server).provider.take(Asked(str(self.command), target.path, headers, form))
        self.close_connection = True
        if said is None:
            return
        data = json.dumps(said.content).encode()
        self.send_response(said.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if said.cut else data)
