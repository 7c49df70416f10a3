"""The count of processed calls, kept in the same way by every peer's `noop` and read while the workers run.

Each process has a file of its own in COUNTS_DIR, mapped into memory: how many calls it has processed, and when the last one
was. A call costs about a microsecond.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
from pathlib import Path

#: How many calls, and when the last one was by the clock that all processes of a machine share.
FORM = struct.Struct("=Qd")


class _Slot:
    """The count of this process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.done = 0
        path = Path(os.environ["COUNTS_DIR"]) / str(self.pid)
        path.write_bytes(bytes(FORM.size))
        with path.open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), FORM.size)


_opening = threading.Lock()
_slot: _Slot | None = None


def count() -> None:
    """Count one call as processed."""
    slot = _slot
    if slot is None or slot.pid != os.getpid():  # a fork has the slot of its parent
        slot = _open()
    with slot.lock:
        slot.done += 1
        FORM.pack_into(slot.memory, 0, slot.done, time.monotonic())


def read(folder: Path) -> tuple[int, float]:
    """Return how many calls all processes have processed, and when the last one was (seconds of `time.monotonic`)."""
    found = [FORM.unpack(data) for file in folder.iterdir() if len(data := file.read_bytes()) == FORM.size]
    return sum(done for done, _ in found), max((when for _, when in found), default=0.0)


def _open() -> _Slot:
    global _slot  # noqa: PLW0603 - one for each process
    with _opening:
        if _slot is None or _slot.pid != os.getpid():
            _slot = _Slot()
        return _slot
