"""The environment of a benchmark: a folder, a server and workers of its own, removed at the end."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import settings
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
            stack.enter_context(self._running("server", [*prefix, *redis_server.command(self.settings)]))
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

    def run(self, *module: str) -> None:
        """Run a Python module to its end."""
        subprocess.run([sys.executable, "-m", *module], cwd=settings.ROOT, env=self.env, check=True)

    @contextmanager
    def worker(self, app: str, pool: str, concurrency: int) -> Iterator[subprocess.Popen[bytes]]:
        """Start a worker with the options of the Procfile, and the pool to be measured."""
        options = ["--pool", pool, "--concurrency", str(concurrency), "--without-mingle", "--without-gossip"]
        celery = [sys.executable, "-m", "celery", "-A", app, "--quiet", "worker", "--loglevel", "warning"]
        with self._running("worker", [*celery, *options]) as process:
            yield process

    def log(self, name: str) -> str:
        """Return the last lines that a process wrote."""
        return (self.folder / f"{name}.log").read_text()[-2000:]

    @contextmanager
    def _running(self, name: str, command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
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


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(MAX_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
