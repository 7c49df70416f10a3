"""The log of `make up` on a terminal: every line of every process, whole, in one file."""

from __future__ import annotations

import os
from pathlib import Path

from state.files import FILE

#: Bytes. A full file is set aside as NAME.1, so that both together take no more than twice that.
MAX_SIZE = 10 * 1024 * 1024


class LogFile:
    """A file of JSON lines that only this user may read.

    Args:
        path: The file; its folder must exist. What an earlier run wrote stays in it.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = self._open()

    def append(self, line: str) -> None:
        """Add one line; raise OSError if the disk refuses."""
        if os.fstat(self._descriptor).st_size > MAX_SIZE:
            os.close(self._descriptor)
            self.path.replace(self.path.with_name(f"{self.path.name}.1"))
            self._descriptor = self._open()
        os.write(self._descriptor, f"{line}\n".encode(errors="replace"))

    def _open(self) -> int:
        return os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, FILE)
