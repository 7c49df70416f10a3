"""Read the pulse file of a process: workers and beat touch theirs every few seconds, in the loop that does their work.

A process without a file is not judged: it is starting, waits for the broker, or never makes a file.
"""

from __future__ import annotations

import time
from pathlib import Path

#: Seconds after which the supervisor reports a silent process; no answer of Redis takes that long.
SILENT_SECONDS = 60.0

#: Seconds after which the supervisor kills a silent process, so that a stuck one is restarted without a person.
STUCK_SECONDS = 120.0


class PulseFile:
    """The pulse file of one process, and for how long it has not changed on the monotonic clock.

    Args:
        folder: The folder of all pulse files.
        pid: The process id, which is the file's name.

    """

    def __init__(self, folder: Path, pid: int) -> None:
        self._path = folder / str(pid)
        self._mtime_ns, self._since = 0, time.monotonic()

    def silent_seconds(self) -> float:
        """Return for how long this object has seen the file unchanged, in seconds; 0 without a file."""
        try:
            mtime_ns = self._path.stat().st_mtime_ns
        except OSError:
            mtime_ns = 0
        if not mtime_ns or mtime_ns != self._mtime_ns:
            self._mtime_ns, self._since = mtime_ns, time.monotonic()
        return time.monotonic() - self._since

    def restart_clock(self) -> None:
        """Count from now on, because the silence so far has a known cause."""
        self._since = time.monotonic()

    def remove(self) -> None:
        """Remove the file of a process that has ended."""
        self._path.unlink(missing_ok=True)
