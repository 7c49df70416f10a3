"""The pulse: workers and beat report every few seconds that they are alive, to Redis and to a file.

The event loop that does the work writes both, so a process that is stopped or stuck goes silent. Commands and the
monitor read Redis, for all machines. The supervisor reads the file: it must be able to judge a process while Redis is
away or hangs. While the loop waits for the broker the file is gone, so that the process is not taken for stuck.
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
from celery.worker import state as worker_state

import settings
from gatekeeper.policies.spec import agents
from state import hints, private
from state.errors import NewerRedisFormat, StoreError
from state.processes import liveness
from state.processes.host_signs import HostSigns
from workers.timer_step import TimerStep

log = structlog.get_logger("gatehouse.pulse")

#: Seconds for the last report of a process that stops.
STOP_TIMEOUT = 1.0
#: Seconds between two checks of the other processes; each costs one round trip.
CHECK_EVERY = 30.0


class PulseWriter:
    """The reports of one process.

    Args:
        kind: "worker" or "beat".

    """

    def __init__(self, kind: str) -> None:
        self.process = liveness.ThisProcess(kind, _version())
        self._of_host = HostSigns(kind, _version(), agents if kind == "worker" else tuple)
        self.stopped = False
        self._reported: float | None = None
        self._checked = time.monotonic()  # processes that start at the same time get CHECK_EVERY seconds
        self._silent: set[str] = set()
        self._swept: float | None = None

    def record_sweep(self) -> None:
        """Record that a sweep of this worker succeeded now."""
        self._swept = time.monotonic()

    def report(self, queues: Sequence[str] | None = None) -> None:
        """Report that this process is alive, unless it did so less than `liveness.INTERVAL` seconds ago.

        Args:
            queues: The queues that a worker consumes from, "" for the default one.

        """
        self.touch()
        if self._reported is not None and time.monotonic() - self._reported < liveness.INTERVAL:
            return
        self._reported = time.monotonic()
        swept_ago_ms = -1 if self._swept is None else round((time.monotonic() - self._swept) * 1000)
        of_host, asked_at = self._of_host.due(), time.time()
        try:
            now_ms = liveness.report(
                self.process, swept_ago_ms=swept_ago_ms, stopped=self.stopped, queues=queues, of_host=of_host
            )
            self._of_host.compare_clock(asked_at, now_ms)
            if time.monotonic() - self._checked >= CHECK_EVERY:
                self._checked = time.monotonic()
                self._check_others()
        except NewerRedisFormat as error:
            log.error("data of a newer version", error=str(error))  # noqa: TRY400 - the sentence says all
            self._end_process()
        except StoreError as error:
            log.debug("liveness not reported", error=str(error))

    def _end_process(self) -> None:
        """Let a worker finish what it runs, and end; beat ends at once."""
        if self.process.kind != "worker":
            raise SystemExit(1)
        worker_state.should_stop = 1  # type: ignore[assignment]  # its type says: always None

    def _check_others(self) -> None:
        """Log once when a process of the other kind falls silent: workers check beat, and beat checks the workers."""
        others = [each for each in liveness.current().silent if each.kind in liveness.KINDS]
        silent = {f"{each.kind} {each.pid}": each for each in others if each.kind != self.process.kind}
        for each in (silent[name] for name in silent.keys() - self._silent):
            log.error("process silent", silent=str(each), since=each.since, hint=hints.gatehouse("doctor"))
        for name in self._silent - silent.keys():
            log.info("process no longer silent", silent=name)
        self._silent = set(silent)

    def touch(self) -> None:
        """Touch the file that the supervisor reads; needs no Redis."""
        if self.stopped:
            return
        with suppress(OSError):  # a full disk is reported where it does harm
            private.folder(settings.current().pulse_dir)
            self._file.touch(mode=0o600)

    def pause(self) -> None:
        """Remove the file: the loop waits for a good reason, and the supervisor must not judge the process."""
        with suppress(OSError):
            self._file.unlink()

    def stop(self) -> None:
        """Report that this process was asked to stop. Use a thread: a signal may interrupt a command to Redis."""
        if self.stopped:
            return
        self.stopped = True
        self.pause()
        thread = threading.Thread(target=self._report_stop, daemon=True)
        thread.start()
        thread.join(STOP_TIMEOUT)

    def _report_stop(self) -> None:
        with suppress(StoreError):
            liveness.report(self.process, stopped=True)

    @property
    def _file(self) -> Path:
        return settings.current().pulse_dir / str(self.process.pid)


class PulseStep(TimerStep):
    """The timer that writes a worker's pulse."""

    def start(self, parent: Any) -> None:
        """Report at once, and then every few seconds."""

        def report() -> None:
            of_worker().report(_queues(parent))

        report()
        self.repeat(parent, liveness.INTERVAL, report)

    def stop(self, parent: Any) -> None:
        """Stop the timer, and remove the file."""
        of_worker().pause()
        super().stop(parent)


def _queues(consumer: Any) -> list[str]:
    """Return the queues that a worker consumes from now, "" for the default one; remote commands may change them."""
    names = {queue.name for queue in consumer.task_consumer.queues}
    default = consumer.app.conf.task_default_queue
    return sorted("" if name == default else name for name in names)


@cache
def of_worker() -> PulseWriter:
    """Return the pulse of this worker's main process."""
    return PulseWriter("worker")


@cache
def _version() -> str:
    try:
        return metadata.version("gatehouse")
    except metadata.PackageNotFoundError:
        return "unknown"
