"""The environment of a benchmark: a folder, a server and workers of its own, removed at the end."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import settings
from bench.sides import PLAIN, Side
from deploy import redis_server
from state.redis import client

#: Seconds for a process to end after SIGTERM, and for the server to start.
MAX_STOP_SECONDS = 20.0
MAX_START_SECONDS = 10.0


class BenchEnvironment:
    """A context manager that starts a server in a temporary folder, and stops and removes both.

    Args:
        server_prefix: What stands before the server's command line, such as a profiler; `{folder}` is the folder.

    """

    def __init__(self, server_prefix: Sequence[str] = ()) -> None:
        self._server_prefix = server_prefix

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            self.env = {**settings.environment(), **self._own_settings()}
            self.settings = settings.read(self.env)
            prefix = [word.format(folder=self.folder) for word in self._server_prefix]
            server = [*prefix, *redis_server.command(self.settings)]
            self.server = stack.enter_context(self.running("server", server))
            redis_server.wait_until_ready(self.settings, time.monotonic() + MAX_START_SECONDS)
            self.redis = client.client(self.settings.redis_url)
            stack.callback(self.redis.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def empty(self) -> None:
        """Remove all data from Redis and the journal; a journal that has more than Redis would close effects."""
        self.redis.flushall()
        shutil.rmtree(self.settings.journal_dir, ignore_errors=True)

    def run(self, *module: str) -> str:
        """Run a Python module to its end, and return what it printed."""
        command = [sys.executable, "-m", *module]
        done = subprocess.run(command, cwd=settings.ROOT, env=self.env, check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout

    @contextmanager
    def worker(self, side: Side, pool: str, concurrency: int) -> Iterator[subprocess.Popen[bytes]]:
        """Start the worker of a side with the pool to be measured."""
        options = ["--pool", pool, "--concurrency", str(concurrency), *side.options]
        with self.running("worker", [*_celery(side.app), "worker", "--loglevel", "warning", *options]) as process:
            yield process

    @contextmanager
    def flower(self, app: str) -> Iterator[None]:
        """Run Flower beside, on a free port of this machine."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with self.running(
            "flower", [*_celery(app), "flower", "--address=127.0.0.1", f"--port={port}", "--logging=error"]
        ):
            deadline = time.monotonic() + MAX_STOP_SECONDS
            while socket.socket().connect_ex(("127.0.0.1", port)):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"Flower does not listen; it says:\n{self.log('flower')}")
                time.sleep(0.05)
            yield

    def log(self, name: str) -> str:
        """Return the last lines that a process wrote."""
        return (self.folder / f"{name}.log").read_text()[-2000:]

    @contextmanager
    def running(self, name: str, command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
        """Run a process of this environment, and end it; its output goes to a log of this name."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=settings.ROOT, env=self.env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            yield process
        finally:
            _end(process)

    def _own_settings(self) -> dict[str, str]:
        """Return the default settings, whatever the environment and `.env` say, with all data inside the folder."""
        places = {"STATE_DIR": "state", "CONTENT_DIR": "content", "PUBLIC_DIR": "public"}
        defaults = dict.fromkeys(("REDIS_URL", "BROKER_URL", "LOG_FORMAT", "LOG_LEVEL", "LEDGER_DAYS"), "")
        own = {name: str(self.folder / folder) for name, folder in places.items()}
        return {**defaults, **own, "TASK_MODULES": "bench.agents.noop"}


def _celery(app: str) -> list[str]:
    """Return the command line of Celery for an application; that of plain Celery must not load Gatehouse."""
    program = "bench.celery_alone" if app == PLAIN.app else "celery"
    return [sys.executable, "-m", program, "-A", app, "--quiet"]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(MAX_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
