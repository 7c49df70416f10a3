"""The drill's provider: an HTTP server on 127.0.0.1 that applies every effect it receives, repeated ones too.

    POST /ACCOUNT/effects        {"key"}: 201 {"id", "cut"}, or no answer, depending on the account's fate
    GET  /ACCOUNT/effects?key=   200 with the first effect of the key, or 404
    GET  /ACCOUNT/at/STAGE       a task reports its stage; the answer may be held back

The header `X-Sender` carries the process id of the sender. The server runs in the process of the runner, which kills
the workers, and not in a worker.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self, cast
from urllib.parse import parse_qs, unquote, urlsplit

#: Seconds after which a held request is answered in any case.
MAX_HOLD = 60.0

#: What happens to the next effect: it is applied and answered, it is dropped, it is applied without an answer, or it is
#: applied and the sender is told to cut its connections to Redis.
Fate = Literal["ok", "lost", "answer lost", "cut"]


class ProviderAccount:
    """The requests of one fault's task, and the stages at which the next one is held back.

    The account is in memory, and notes a request before the answer leaves.
    """

    def __init__(self) -> None:
        self.effects: list[str] = []  #: the key of each applied effect, in order; repeated keys are applied too
        self.seen: Counter[str] = Counter()  #: requests by stage
        self._fate: Fate = "ok"
        self._holds: dict[str, threading.Event] = {}
        self._held: dict[str, threading.Event] = {}
        self._senders: dict[str, int] = {}
        self._lock = threading.Lock()

    def hold(self, stage: str) -> None:
        """Hold back the next request that reaches this stage, until `release` or for MAX_HOLD seconds."""
        self._holds[stage] = threading.Event()

    def release(self, stage: str) -> None:
        """Answer the request that is held at this stage."""
        self._held.pop(stage).set()

    def release_all(self) -> None:
        """Answer every request that is held, and hold back none from now on."""
        with self._lock:
            self._holds.clear()
            held, self._held = self._held, {}
        for each in held.values():
            each.set()

    def held_sender(self, stage: str) -> int | None:
        """Return the process id whose request is held at this stage; None if there is none yet."""
        return self._senders.get(stage)

    def set_fate(self, fate: Fate) -> None:
        """Set what happens to the next effect."""
        self._fate = fate

    def reach(self, stage: str, sender: int) -> None:
        """Count a request at this stage, and block while it is held."""
        with self._lock:
            self.seen[stage] += 1
            hold = self._holds.pop(stage, None)
            if hold:
                self._held[stage], self._senders[stage] = hold, sender
        if hold:
            hold.wait(MAX_HOLD)

    def apply(self, key: str, sender: int) -> Fate:
        """Apply an effect, unless its fate is to be lost, and return its fate."""
        with self._lock:
            fate, self._fate = self._fate, "ok"
        self.reach("arrived", sender)
        if fate != "lost":
            self.effects.append(key)
            self.reach("applied", sender)
        return fate


class FakeProvider(ThreadingHTTPServer):
    """The HTTP server of all accounts; it serves while the `with` block runs."""

    daemon_threads = True

    def __init__(self, accounts: Mapping[str, ProviderAccount]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.accounts = accounts

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), name="fake provider", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: connections of killed senders break by design."""


class _Handler(BaseHTTPRequestHandler):
    """One request on a connection of its own."""

    def do_POST(self) -> None:
        account, _ = self._route()
        key = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["key"]
        fate = account.apply(key, self._sender)
        if fate in {"ok", "cut"}:
            self._answer(201, {"id": len(account.effects), "cut": fate == "cut"})
        self.close_connection = True

    def do_GET(self) -> None:
        account, (resource, *rest) = self._route()
        if resource == "at":
            account.reach(rest[0], self._sender)
            self._answer(200, {})
            return
        [key] = parse_qs(urlsplit(self.path).query)["key"]
        is_applied = key in account.effects
        self._answer(200 if is_applied else 404, {"id": 1 + account.effects.index(key)} if is_applied else {})

    @property
    def _sender(self) -> int:
        return int(self.headers["X-Sender"])

    def _route(self) -> tuple[ProviderAccount, list[str]]:
        name, *rest = unquote(urlsplit(self.path).path).strip("/").split("/")
        return cast("FakeProvider", self.server).accounts[name], rest

    def _answer(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Print nothing: the workers log these requests."""
