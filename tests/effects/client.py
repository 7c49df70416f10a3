"""The effect server as tests hold it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from tests.harness.polling import until

ROOT = Path(__file__).resolve().parents[2]


class EffectServer:
    """A running effect server; its table lives in `folder` and survives `stop` and `kill9`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> EffectServer:
        """Start, on the same port as before if there was one."""
        port_file = self._folder / "port"
        port_file.unlink(missing_ok=True)
        options = ["--db", self._folder / "effects.sqlite", "--port", str(self._port), "--port-file", port_file]
        command = [sys.executable, "-m", "tests.effects.server", *map(str, options)]
        self._process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
        until(port_file.exists, what="the effect server to listen")
        self._port = int(port_file.read_text())
        return self

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill9(self) -> None:
        self._end(signal.SIGKILL)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/effects"

    def url(self, key: str) -> str:
        return f"{self.base_url}/{quote(key, safe=':')}"

    def count(self, key: str | None = None) -> int:
        """How often the effect of a key (or any) was applied."""
        return int(self._counts(key)["count"])

    def arrived(self, key: str | None = None) -> int:
        """How many requests came for a key (or any), applied or not, since the server started or was cleared."""
        return int(self._counts(key)["arrived"])

    def counts(self) -> dict[str, int]:
        """Every key with how often its effect was applied."""
        found: dict[str, int] = {}
        for row in self.rows():
            found[row["key"]] = found.get(row["key"], 0) + 1
        return found

    def rows(self) -> list[dict[str, Any]]:
        """Every effect: id, key, sha256, body, arrived_at, applied_at, headers, connection, undone."""
        rows: list[dict[str, Any]] = self._request("GET", "/effects")
        return rows

    def mode(self, mode: str, key: str | None = None, for_next: int | None = None) -> None:
        """Behave like this from now on: towards one key or all, for the next N requests or for ever."""
        self._request("PUT", "/mode", {"mode": mode, "key": key, "next": for_next})

    def waiting(self) -> list[str]:
        """The keys of the requests that are being delayed."""
        keys: list[str] = self._request("GET", "/waiting")["keys"]
        return keys

    def wait_in_flight(self, n: int = 1, deadline: float = 15.0) -> None:
        """Wait until exactly `n` requests are being delayed."""
        until(lambda: len(self.waiting()) == n, deadline, f"{n} requests in flight at the effect server")

    def release(self, key: str | None = None) -> None:
        """Let delayed requests go on at once."""
        self._request("DELETE", "/waiting" + (f"?{urlencode({'key': key})}" if key else ""))

    def open(self) -> list[dict[str, Any]]:
        """The requests that began and have no answer yet: id, key, and sender as the X-Sender header names it."""
        found: list[dict[str, Any]] = self._request("GET", "/open")
        return found

    def asked(self) -> dict[str, dict[str, int]]:
        """Per key: `requests`, the different `bodies` among them, how many are `doubtful`, and `lookups`."""
        asked: dict[str, dict[str, int]] = self._request("GET", "/asked")
        return asked

    def look_up_lag(self, seconds: float | None) -> None:
        """Look-ups find an effect only when it is so old; None: they find nothing at all."""
        self._request("PUT", "/lookups", {"lag": seconds})

    def clear(self) -> None:
        self._request("DELETE", "/effects")

    def _counts(self, key: str | None) -> dict[str, int]:
        counts: dict[str, int] = self._request("GET", "/count" + (f"?{urlencode({'key': key})}" if key else ""))
        return counts

    def _request(self, method: str, path: str, content: object = None) -> Any:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request(method, path, body=None if content is None else json.dumps(content))
            answer = connection.getresponse()
            found = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise AssertionError(f"the effect server answered {answer.status} to {method} {path}: {found}")
        return found

    def _end(self, sign: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(sign)
            self._process.wait(10)
            self._process = None
