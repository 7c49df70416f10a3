"""The lines of a file of the journal, read at offsets that mostly follow each other."""

from __future__ import annotations

import os

#: Bytes read at once: some hundreds of lines. While this waits for the disk, the thread that writes takes the interpreter.
WINDOW = 256 * 1024


class JournalLines:
    """Returns the line at an offset of an open file; what was read at once is kept for the next one."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._begin, self._window = 0, b""

    def at(self, offset: int) -> bytes:
        """Return the line that begins at an offset, without its newline."""
        start = offset - self._begin
        end = self._window.find(b"\n", start) if 0 <= start < len(self._window) else -1
        if end >= 0:
            return self._window[start:end]
        self._begin, self._window = offset, os.pread(self._descriptor, WINDOW, offset)
        while (end := self._window.find(b"\n")) < 0 and (
            more := os.pread(self._descriptor, WINDOW, offset + len(self._window))
        ):
            self._window += more
        return self._window[: end if end >= 0 else len(self._window)]
