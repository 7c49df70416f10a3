"""Whether a process goes on: workers and beat touch a file every few seconds, in the loop that does their work.

A process without a file is not judged: it is starting, waits for the broker, or is one that never makes any.
"""

from __future__ import annotations

import time
from pathlib import Path

#: Seconds. Told then; the slowest answer of Redis does not take so long.
SILENT_SECONDS = 60.0

#: Seconds. Killed then, to be started again: nobody looks into a stuck process at 3 a.m.
STUCK_SECONDS = 120.0


class Pulse:
    """The file of one process, and how long it has been the same, by a clock that nobody can set."""

    def __init__(self, folder: Path, pid: int) -> None:
        self._file = folder / str(pid)
        self._touched, self._since = 0, time.monotonic()

    def silence(self) -> float:
        """Seconds since the file was touched, as far as it was seen here; 0 without a file."""
        try:
            touched = self._file.stat().st_mtime_ns
        except OSError:
            touched = 0
        if not touched or touched != self._touched:
            self._touched, self._since = touched, time.monotonic()
        return time.monotonic() - self._since

    def forgive(self) -> None:
        """Count anew: there is a reason for the silence."""
        self._since = time.monotonic()

    def forget(self) -> None:
        """Its process is gone."""
        self._file.unlink(missing_ok=True)
