"""Worker, beat and web process on a server of their own, with a schedule and webhooks of the benchmark."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import settings
from bench.environment import BenchEnvironment

#: Seconds for a process to start on a busy machine.
MAX_WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Web:
    """A running web process."""

    port: int
    pid: int


class Parts(BenchEnvironment):
    """A benchmark's environment in which the tables are files of the benchmark.

    Args:
        tables: The text of `beat_schedule.py` and `webhook_routes.py`, by name without `.py`.
        variables: Further settings.

    """

    def __init__(self, tables: dict[str, str], variables: dict[str, str] | None = None) -> None:
        super().__init__()
        self._tables, self._variables = tables, variables or {}

    @contextmanager
    def process(self, name: str, *module: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a Python module with its arguments; its working folder has the tables, which Python finds first."""
        command = shlex.join([sys.executable, "-m", *module])
        with self.running(
            name, ["/bin/sh", "-c", f"cd {shlex.quote(str(self._table_folder()))} && exec {command}"]
        ) as process:
            yield process

    @contextmanager
    def celery_worker(self, threads: int, name: str = "worker") -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker with the options of the Procfile and so many threads, and wait until it is ready."""
        pool = ["--pool", "threads", "--concurrency", str(threads), "--without-mingle", "--without-gossip"]
        options = ["-n", f"{name}@%h", *pool, "--loglevel", "warning"]
        with self.process(name, "celery", "-A", "workers", "--quiet", "worker", *options) as process:
            self.wait_for_line(name, "worker ready")
            yield process

    @contextmanager
    def web(self) -> Iterator[Web]:
        """Run the web process as the Procfile does, and wait until it answers."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        options = ["--port", str(port), "--no-access-log", "--log-level", "warning"]
        with self.process("web", "uvicorn", "web.app:app", *options) as process:
            deadline = time.monotonic() + MAX_WAIT_SECONDS
            while not _listens(port):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the web process does not answer; it says:\n{self.log('web')}")
                time.sleep(0.05)
            yield Web(port, process.pid)

    def path(self, name: str) -> Path:
        """Return the file that a process writes its output to."""
        return self.folder / f"{name}.log"

    def lines(self, name: str, event: str) -> list[dict[str, Any]]:
        """Return the lines of one event that a process has logged so far."""
        written = self.path(name).read_text().splitlines()
        logged = [json.loads(line) for line in written if line.startswith("{") and line.endswith("}")]
        return [line for line in logged if line["event"] == event]

    def wait_for_line(self, name: str, text: str) -> None:
        """Wait until a process has written a text."""
        deadline = time.monotonic() + MAX_WAIT_SECONDS
        while text not in self.path(name).read_text():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} never said {text!r}; it says:\n{self.log(name)}")
            time.sleep(0.05)

    def _table_folder(self) -> Path:
        folder = self.folder / "tables"
        folder.mkdir(exist_ok=True)
        for name, text in self._tables.items():
            (folder / f"{name}.py").write_text(text)
        return folder

    def _own_settings(self) -> dict[str, str]:
        own = {"TASK_MODULES": "bench.agents.stack", "PYTHONPATH": str(settings.ROOT), "LOG_FORMAT": "json"}
        return {**super()._own_settings(), **own, "PATH": os.environ.get("PATH", os.defpath), **self._variables}


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
