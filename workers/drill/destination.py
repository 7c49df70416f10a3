"""The drill's destination: a provider on 127.0.0.1 that takes every effect it is sent, twice if asked twice.

    POST /ACCOUNT/effects        {"key"}: 201 {"id", "cut"}, or no answer, as the account was told
    GET  /ACCOUNT/effects?key=   200 with the first effect of the key, or 404
    GET  /ACCOUNT/at/PLACE       a task comes by; the answer may be held up

`X-Sender` is the process that asks. It runs beside the workers, in the process that conducts the drill and kills them.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, cast
from urllib.parse import parse_qs, unquote, urlsplit

from workers.drill.account import Account


class Destination(ThreadingHTTPServer):
    """Open for as long as it is a context."""

    daemon_threads = True

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.accounts = accounts

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), name="destination", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A sender that was killed is what this is for."""


class _Request(BaseHTTPRequestHandler):
    """One request on a connection of its own."""

    def do_POST(self) -> None:
        account, _ = self._where()
        key = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["key"]
        fate = account.take(key, self._sender)
        if fate in {"ok", "cut"}:
            self._answer(201, {"id": len(account.effects), "cut": fate == "cut"})
        self.close_connection = True

    def do_GET(self) -> None:
        account, (what, *place) = self._where()
        if what == "at":
            account.come_by(place[0], self._sender)
            self._answer(200, {})
            return
        [key] = parse_qs(urlsplit(self.path).query)["key"]
        found = key in account.effects
        self._answer(200 if found else 404, {"id": 1 + account.effects.index(key)} if found else {})

    @property
    def _sender(self) -> int:
        return int(self.headers["X-Sender"])

    def _where(self) -> tuple[Account, list[str]]:
        name, *rest = unquote(urlsplit(self.path).path).strip("/").split("/")
        return cast("Destination", self.server).accounts[name], rest

    def _answer(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Its requests are in the workers' logs."""
