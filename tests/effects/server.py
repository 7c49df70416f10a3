"""A provider that keeps the truth: `python -m tests.effects.server --db FILE --port 0 --port-file FILE`.

It shares no code with the product. An effect is committed with fsync before any answer leaves.

    POST   /effects/KEY    apply, as the mode says; 201 {"id", "url"}. `?mode=` or `X-Effect-Mode` for this request only
    GET    /effects/KEY    look up: 200 with the first effect of the key, or 404
    DELETE /effects/KEY    take back: the effects stay counted and are marked undone
    GET    /effects        every effect, in order
    DELETE /effects        forget everything, standing modes and the requests that are under way included
    GET    /count?key=     {"count": applied, "arrived": requests seen}; without a key, over all keys
    PUT    /mode           {"mode", "key": null, "next": null}: for all or one key, for ever or the next N requests
    PUT    /lookups        {"lag": seconds}: look-ups find an effect only when it is that old; null: they find nothing
    GET    /open           [{"id", "key", "sender" (from X-Sender)}]: requests that began and have no answer yet
    GET    /asked          {key: {"requests", "bodies" (different ones), "doubtful" (those never clearly refused), "lookups"}}
    GET    /waiting        {"waiting": n, "keys": [...]}: requests being delayed now
    DELETE /waiting?key=   let delayed requests go on at once

Modes: ok, apply_then_drop, apply_then_reset, apply_then_status:STATUS, truncate (a 2xx cut short), delay:SECONDS[:PROMISED]
(then apply, but not later than so many seconds after the arrival), delay_after:SECONDS (apply, then wait, then answer), refuse:STATUS[:RETRY_AFTER] (nothing applied),
refuse_until:STATUS:SECONDS (the same, with Retry-After as a date so many seconds ahead).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tests.effects import modes
from tests.effects.arrivals import Arrivals
from tests.effects.truth import Truth
from tests.effects.waiting import Waiting
from tests.web_server import WebServer

#: Answers that say for certain that the request changed nothing; after any other, its body may have been applied.
PROVES_NOTHING_HAPPENED = frozenset({401, 403, 404, 413, 429})


class Provider(WebServer):
    """The server with what it remembers."""

    def __init__(self, port: int, truth: Truth) -> None:
        super().__init__(Handler, port)
        self.truth = truth
        self.modes = modes.Modes()
        self.waiting = Waiting()
        self.arrivals = Arrivals()
        self.lag: float | None = 0.0
        self.connections = itertools.count(1)

    def forget(self) -> None:
        self.modes.clear()
        self.waiting.abandon()
        self.truth.clear()
        self.arrivals.clear()
        self.lag = 0.0


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def provider(self) -> Provider:
        return cast("Provider", self.server)

    def setup(self) -> None:
        super().setup()
        self.connection_id = next(self.provider.connections)

    def do_POST(self) -> None:
        arrived_at, era, body, key = time.time(), self.provider.truth.era, self._body(), self._key()
        if key is None:
            return self._answer(404, {"error": "POST goes to /effects/KEY"})
        with self.provider.arrivals.request(key, body, self.headers.get("X-Sender", "")):
            self._take(key, body, arrived_at, era)

    def _take(self, key: str, body: bytes, arrived_at: float, era: int) -> None:
        ticket = self.provider.waiting.ticket()
        chosen = self._query("mode") or self.headers.get("X-Effect-Mode")
        try:
            mode = modes.parse(chosen) if chosen else self.provider.modes.take(key)
        except ValueError as error:
            return self._answer(400, {"error": str(error)})
        self._behave(mode, key, body, arrived_at, ticket, era)

    def do_GET(self) -> None:
        provider, path, key = self.provider, urlsplit(self.path).path, self._key()
        if key is not None:
            self._look_up(key)
        elif path == "/effects":
            self._answer(200, provider.truth.rows())
        elif path == "/count":
            asked = self._query("key")
            self._answer(200, {"count": provider.truth.count(asked), "arrived": provider.arrivals.count(asked)})
        elif path == "/waiting":
            keys = provider.waiting.keys()
            self._answer(200, {"waiting": len(keys), "keys": keys})
        elif path == "/open":
            self._answer(200, provider.arrivals.open())
        elif path == "/asked":
            self._answer(200, provider.arrivals.asked())
        else:
            self._answer(404, {"error": f"no {path} here"})

    def do_PUT(self) -> None:
        try:
            order = json.loads(self._body())
            if urlsplit(self.path).path == "/lookups":
                self.provider.lag = order["lag"]
            else:
                self.provider.modes.put(order["mode"], order.get("key"), order.get("next"))
        except (KeyError, ValueError) as error:
            return self._answer(400, {"error": str(error)})
        self._answer(200, order)

    def do_DELETE(self) -> None:
        path, key = urlsplit(self.path).path, self._key()
        if key is not None:
            self._answer(200, {"undone": self.provider.truth.undo(key)})
        elif path == "/effects":
            self.provider.forget()
            self._answer(200, {})
        elif path == "/waiting":
            self.provider.waiting.release(self._query("key"))
            self._answer(200, {})
        else:
            self._answer(404, {"error": f"no {path} here"})

    def log_message(self, format: str, *args: Any) -> None:
        """The table is the log."""

    def _look_up(self, key: str) -> None:
        """Answer what the provider's index knows by now, which may be less than what is true."""
        self.provider.arrivals.look_up(key)
        lag = self.provider.lag
        rows = [] if lag is None else self.provider.truth.rows(key)
        found = [row for row in rows if not lag or row["applied_at"] <= time.time() - lag]
        self._answer(200 if found else 404, found[0] if found else {"error": f"no effect of {key}"})

    def _behave(self, mode: modes.Mode, key: str, body: bytes, arrived_at: float, ticket: int, era: int) -> None:
        if mode.name in {"refuse", "refuse_until"}:
            if mode.status in PROVES_NOTHING_HAPPENED:
                self.provider.arrivals.refuse(key, body)
            return self._answer(mode.status, {"error": "refused"}, retry_after=mode.retry_after)
        number = self._apply(mode, key, body, arrived_at, ticket, era)
        if number is None:
            return self._drop()
        answer = {"id": number, "url": f"http://{self.headers['Host']}/effects/{quote(key, safe=':')}"}
        match mode.name:
            case "apply_then_drop":
                self._drop()
            case "apply_then_reset":
                self._reset()
            case "apply_then_status":
                self._answer(mode.status, {"error": "something went wrong"})
            case "truncate":
                self._answer(201, answer, cut=True)
            case _:
                self._answer(201, answer)

    def _apply(self, mode: modes.Mode, key: str, body: bytes, arrived_at: float, ticket: int, era: int) -> int | None:
        """Apply the effect when its time has come, and return its number; None if there is nothing to answer any more."""
        if mode.name == "delay":
            is_let_go = self.provider.waiting.wait(key, mode.seconds, ticket)
            if not is_let_go or time.time() - arrived_at > mode.promised:
                return None
        number = self.provider.truth.apply(key, body, arrived_at, self._lower_headers(), self.connection_id, era)
        if mode.name == "delay_after" and not self.provider.waiting.wait(key, mode.seconds, ticket):
            return None
        return number

    def _answer(self, status: int, content: Any, *, retry_after: str | None = None, cut: bool = False) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if retry_after is not None:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if cut else data)
        self.close_connection = self.close_connection or cut

    def _drop(self) -> None:
        self.close_connection = True

    def _reset(self) -> None:
        """Close with an RST: a zero linger time, and past the polite shutdown of the server class."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    def _key(self) -> str | None:
        head, _, key = urlsplit(self.path).path.removeprefix("/").partition("/")
        return unquote(key) if head == "effects" and key else None

    def _query(self, name: str) -> str | None:
        return parse_qs(urlsplit(self.path).query).get(name, [None])[0]

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _lower_headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}


def main() -> None:
    """Serve until SIGTERM."""
    options = argparse.ArgumentParser(description="The effect server of the tests.")
    options.add_argument("--db", type=Path, required=True)
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--port-file", type=Path, required=True)
    chosen = options.parse_args()

    truth = Truth(chosen.db)
    with Provider(chosen.port, truth) as provider:
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=provider.shutdown).start())
        _announce(chosen.port_file, provider.server_port)
        provider.serve_forever(poll_interval=0.05)
    truth.close()


def _announce(path: Path, port: int) -> None:
    whole = path.with_suffix(".new")
    whole.write_text(str(port))
    whole.replace(path)


if __name__ == "__main__":
    main()
