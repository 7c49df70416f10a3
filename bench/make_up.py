"""`make up` in a folder and on ports of its own: how long until it is ready, and what it takes at rest."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import settings
from bench import schedstat
from deploy import memory

#: Seconds until `/readyz` answers 200, and until everything has ended.
MAX_START_SECONDS, MAX_STOP_SECONDS = 60.0, 20.0
#: Seconds between two requests to `/readyz`.
POLL_SECONDS = 0.01

_ASK = b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
#: What would make it another installation than a fresh one.
_FOREIGN = (
    "REDIS_URL",
    "BROKER_URL",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "TASK_MODULES",
    "PUBLIC_URL",
    "PUBLISH_TO",
    "ALERT_URLS",
)


@dataclass(frozen=True)
class Rest:
    """What the system takes while nothing happens.

    Attributes:
        megabytes: Its proportional set size, by process.
        percent: The processor time, in percent of one core, by process.

    """

    megabytes: dict[str, float]
    percent: dict[str, float]


class MakeUp:
    """A context manager that runs `make up`, and ends and removes all of it."""

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="bench-up-"))
        self._log = (self._folder / "log").open("wb")
        shutil.copytree(settings.ROOT / "content", self._folder / "content")
        self._port, flower = _free_ports()
        places = {name: str(self._folder / part) for name, part in _PLACES.items()}
        own = {**places, "WEB_HOST": "127.0.0.1", "WEB_PORT": str(self._port), "FLOWER_PORT": str(flower)}
        env = {**os.environ, **dict.fromkeys(_FOREIGN, ""), **own}
        self._began = time.monotonic()
        self._process = subprocess.Popen(
            ["make", "up"], cwd=settings.ROOT, env=env, stdout=self._log, stderr=self._log, start_new_session=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(MAX_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def ready(self) -> tuple[float, float]:
        """Wait until `/readyz` answers 200; return the seconds since the start, and those of processor time.

        Raises:
            TimeoutError: It took longer than MAX_START_SECONDS.

        """
        while not self._is_ready():
            if time.monotonic() - self._began > MAX_START_SECONDS or self._process.poll() is not None:
                raise TimeoutError(f"`make up` did not become ready:\n{(self._folder / 'log').read_text()[-2000:]}")
            time.sleep(POLL_SECONDS)
        return time.monotonic() - self._began, schedstat.seconds_with_ended(self._process.pid)

    def rest(self, settle: float, seconds: float) -> Rest:
        """Measure the system at rest.

        Args:
            settle: Seconds to wait before, in which the first posts are published.
            seconds: For how long to measure.

        """
        time.sleep(settle)
        before = self._used()
        time.sleep(seconds)
        after = self._used()
        percent = {name: 100 * (after[name] - used) / seconds for name, used in before.items() if name in after}
        return Rest({row.name: row.pss for row in self._rows()}, percent)

    def _rows(self) -> list[memory.Row]:
        supervisor = int((self._folder / "state/run/up.lock").read_text())
        return memory.measure([supervisor])

    def _used(self) -> dict[str, float]:
        return {row.name: schedstat.seconds([row.pid]) for row in self._rows()}

    def _is_ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=2) as connection:
                connection.sendall(_ASK)
                return connection.recv(64).split()[1:2] == [b"200"]
        except OSError:
            return False


_PLACES = {"STATE_DIR": "state", "CONTENT_DIR": "content", "PUBLIC_DIR": "public"}


def _free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]
