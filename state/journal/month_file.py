"""The file of the journal to which this month's records are appended."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterable
from pathlib import Path

from state.journal.shared_sync import SharedSync

#: The file in which processes tell each other how far the disk is.
WORD = ".sync"
#: So many syncs after another process wrote to the file, this one no longer looks whether others sync too.
COMPANY = 16


class MonthFile:
    """The file of one month. One thread at a time may call `write`, and any thread `sync`."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._path = path
        self._fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._which = os.fstat(self._fd)
        self._syncing = threading.Lock()
        self._written = self._synced = 0
        self._lost: list[tuple[int, int]] = []  #: the ranges that the disk did not take
        self._company = 0  #: syncs until this process takes itself for the only one
        self._shared = SharedSync(path.with_name(WORD), self._fd)

    def write(self, line: bytes) -> int:
        """Append a line with one write.

        Returns:
            The length of the file afterwards, for `sync`.

        Raises:
            OSError: Not all of the line could be written.

        """
        written = os.write(self._fd, line)
        if written < len(line):
            raise OSError(errno.ENOSPC, f"only {written} of {len(line)} bytes could be written")
        end = os.lseek(self._fd, 0, os.SEEK_CUR)
        if end - written != self._written:
            self._company = COMPANY
        if end < self._written:  # a person emptied the file: the offsets are of what was in it before
            self._synced, self._lost = 0, []
        self._written = end
        return end

    def sync(self, end: int) -> None:
        """Bring everything up to `end` to the disk; of many threads that wait, the first does it for all.

        Raises:
            OSError: The disk did not take it, now or at an earlier try.

        """
        with self._syncing:
            if any(begin < end <= to for begin, to in self._lost):  # a second fsync would report success
                raise OSError(errno.EIO, "the disk did not take it")
            if self._synced >= end:
                return
            try:
                reached = self._shared.sync(self._length) if self._company else self._shared.alone(self._length)
            except OSError:
                self._lost.append((self._synced, self._written))
                raise
            self._synced, self._company = reached, max(0, self._company - 1)

    def _length(self) -> int:
        return self._written

    def is_gone(self) -> bool:
        """Return whether the file was removed or replaced."""
        try:
            return not os.path.samestat(os.stat(self._path), self._which)  # noqa: PTH116 - for every record, so the quickest
        except FileNotFoundError:
            return True

    def is_one_of(self, paths: Iterable[Path]) -> bool:
        """Return whether the file is one of these, under whatever name."""
        return any(os.path.samestat(path.stat(), self._which) for path in paths)

    def __del__(self) -> None:
        os.close(self._fd)  # not before: another thread may be at its sync, and the number would be used again
