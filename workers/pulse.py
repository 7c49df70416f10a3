"""The pulse: workers and beat say every few seconds that they live, in Redis for people, in a file for the supervisor.

Both are written in the loop that does the work: a process that is stopped, or stuck in it, goes silent. Where the loop
waits for the broker, the file is gone, and nobody takes the process for stuck.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import structlog
from celery import bootsteps

import settings
from state import private
from state.errors import StoreError
from state.processes import liveness

log = structlog.get_logger("gatehouse.pulse")

#: Seconds for the last sign of a process that stops; longer would hold up its end.
LAST_WORDS = 1.0
#: Seconds between two looks at the others: one read each.
LISTEN_EVERY = 30.0


class Pulse:
    """What one process says of itself."""

    def __init__(self, kind: str) -> None:
        self.me = liveness.ThisProcess(kind, _version())
        self.stopped = False
        self._said: float | None = None
        self._listened = time.monotonic()  # whoever starts beside us has until then
        self._silent: set[str] = set()

    def give(self, swept_ago_ms: int = -1, queues: Sequence[str] | None = None) -> None:
        """Say that this process lives, unless it did so a moment ago; a store that is away is told by others.

        `queues` are those that a worker takes messages from.
        """
        self.touch()
        if self._said is not None and time.monotonic() - self._said < liveness.INTERVAL:
            return
        self._said = time.monotonic()
        try:
            liveness.report(self.me, swept_ago_ms=swept_ago_ms, stopped=self.stopped, queues=queues)
            if time.monotonic() - self._listened >= LISTEN_EVERY:
                self._listened = time.monotonic()
                self._listen()
        except StoreError as error:
            log.debug("no sign of life", error=str(error))

    def _listen(self) -> None:
        """Say once in the log whoever of the other kind is silent: workers tell of beat, and beat tells of the workers."""
        others = [each for each in liveness.current().silent if each.kind in liveness.KINDS]
        silent = {f"{each.kind} {each.pid}": each for each in others if each.kind != self.me.kind}
        for each in (silent[name] for name in silent.keys() - self._silent):
            log.error("process silent", silent=str(each), since=each.since, next="celery -A workers gate doctor")
        for name in self._silent - silent.keys():
            log.info("process no longer silent", silent=name)
        self._silent = set(silent)

    def touch(self) -> None:
        """The part that the supervisor reads, which needs no store."""
        if self.stopped:
            return
        with suppress(OSError):  # a full disk stops other things, and they tell
            private.folder(_folder())
            self._file.touch(mode=0o600)

    def pause(self) -> None:
        """The loop stands still for a good reason: nobody shall judge by the file."""
        with suppress(OSError):
            self._file.unlink()

    def leave(self) -> None:
        """Say that this process was asked to stop. In a thread: a signal may have come in the middle of a command."""
        if self.stopped:
            return
        self.stopped = True
        self.pause()
        last = threading.Thread(target=self._say_last, daemon=True)
        last.start()
        last.join(LAST_WORDS)

    def _say_last(self) -> None:
        with suppress(StoreError):
            liveness.report(self.me, stopped=True)

    @property
    def _file(self) -> Path:
        return _folder() / str(self.me.pid)


class WorkersPulse(bootsteps.StartStopStep):
    """The pulse of a worker, in its own loop; it stops and starts with the consumer."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._timer: Any = None

    def start(self, parent: Any) -> None:
        """Sign at once, and then every few seconds."""
        of_worker().give(_swept_ago_ms(), _queues(parent))
        self._timer = parent.timer.call_repeatedly(
            liveness.INTERVAL, lambda: of_worker().give(_swept_ago_ms(), _queues(parent))
        )

    def stop(self, parent: Any) -> None:  # noqa: ARG002 - Celery's signature
        """End with the consumer."""
        of_worker().pause()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _queues(consumer: Any) -> list[str]:
    """Return the queues that a worker takes from now, "" for the default one: a remote command may change them."""
    names = {queue.name for queue in consumer.task_consumer.queues}
    default = consumer.app.conf.task_default_queue
    return sorted("" if name == default else name for name in names)


@cache
def of_worker() -> Pulse:
    """The pulse of this worker's main process."""
    return Pulse("worker")


_swept: float | None = None


def swept() -> None:
    """A sweep of this worker went well."""
    global _swept  # noqa: PLW0603 - one sweeper per process
    _swept = time.monotonic()


def _swept_ago_ms() -> int:
    return -1 if _swept is None else round((time.monotonic() - _swept) * 1000)


@cache
def _version() -> str:
    try:
        return metadata.version("gatehouse")
    except metadata.PackageNotFoundError:
        return "unknown"


def _folder() -> Path:
    return settings.current().run_dir / "pulse"
