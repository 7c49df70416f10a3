"""One fsync for the records of several processes of this machine.

An fsync brings to the disk what every process wrote to the file before it began. So a process looks after its write how
many fsyncs began, and is done when another process has finished a later one. In doubt, it syncs by itself.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from state.journal.sync_word import SyncWord, SyncWordFile

#: Seconds to wait while another process syncs. It may be stopped, and then keeps the lock until it goes on.
PATIENCE = 1.0
#: How often a process that waits looks at the word, in the time of one fsync; the shortest and the longest pause, in seconds.
LOOKS = 4
PAUSES = 0.0001, 0.01
#: So many fsyncs after one during which others wrote, a process waits before it syncs; and for how many seconds at most.
CROWD, LONGEST_GATHERING = 16, 0.004


class SharedSync:
    """The fsyncs of one file, as one process takes part in them; used by one thread at a time.

    Args:
        word: Where the word is.
        descriptor: The file that is synced.

    """

    def __init__(self, word: Path, descriptor: int) -> None:
        about = os.fstat(descriptor)
        self._file, self._descriptor = SyncWordFile(word), descriptor
        self._which = about.st_dev, about.st_ino
        self._era = 0  #: when the last sync began; all that is not on the disk yet was written later
        self._is_member = False  #: the era was changed since the file was opened, and since its last failure
        self._stuck: int | None = None  #: the number at which another process did not go on
        self._took = 0.001  #: seconds that an fsync takes lately
        self._crowd = 0  #: fsyncs before which this process still waits for others

    def sync(self, written: Callable[[], int]) -> int:
        """Bring what this process wrote to the disk, by an fsync of its own or of another process.

        Args:
            written: Returns the length of the file after the last write of this process.

        Returns:
            The length up to which the disk has it.

        Raises:
            OSError: The disk did not take it.

        """
        try:
            ticket, reached = self._ticket(written)
            is_mine = self._wait(ticket)
        except OSError:  # the word is only there to save fsyncs
            self._file.unlock()
            return self.alone(written)
        if is_mine is None:
            return reached
        return self._for_all(written) if is_mine else self.alone(written)

    def alone(self, written: Callable[[], int]) -> int:
        """Do the same by an fsync of which no other process learns."""
        self._gather()
        return self._fsync(written)

    def _fsync(self, written: Callable[[], int]) -> int:
        before, began, reached = self._size(), time.monotonic(), written()
        try:
            os.fsync(self._descriptor)
        except OSError:  # the kernel says it once for each descriptor; the next fsync of this one vouches for less
            self._is_member = False
            raise
        self._took += (time.monotonic() - began - self._took) / 4
        if self._size() > before:
            self._crowd = CROWD
        return reached

    def _size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def _ticket(self, written: Callable[[], int]) -> tuple[SyncWord | None, int]:
        """Return the word as it is after the write, None if another process cannot vouch for it, and what was written."""
        before, reached, word = self._word(), written(), self._word()
        era, self._era = self._era, before.era if before else 0
        return (word if word and word.era == era else None), reached

    def _word(self) -> SyncWord | None:
        """Return the word, None if it says nothing about this file."""
        word = self._file.read()
        return word if word and (word.device, word.inode) == self._which else None

    def _wait(self, ticket: SyncWord | None) -> bool | None:
        """Return None when the record is on the disk, True with the lock to sync for all, False if another one is stuck."""
        ends = time.monotonic() + PATIENCE
        while True:
            has_lock, now = self._file.lock(), self._file.read()
            if ticket and now and now.era == ticket.era and now.done > ticket.begun:
                if has_lock:
                    self._file.unlock()
                return None
            if has_lock:
                return True
            self._crowd = CROWD
            begun = now.begun if now else 0
            if begun == self._stuck or time.monotonic() > ends:
                self._stuck = begun
                return False
            time.sleep(min(max(self._took / LOOKS, PAUSES[0]), PAUSES[1]))

    def _for_all(self, written: Callable[[], int]) -> int:
        """Sync with the lock held, tell the others, and release it."""
        try:
            self._gather()
            word = self._begin()
            reached = self._fsync(written)
            self._end(word)
        finally:
            self._file.unlock()
        return reached

    def _gather(self) -> None:
        """Let others who are about to write do so, if they did lately: wait as long as an fsync takes."""
        if self._crowd:
            self._crowd -= 1
            time.sleep(min(self._took, LONGEST_GATHERING))

    def _begin(self) -> SyncWord | None:
        """Say that an fsync begins, before it does: what is written from now on needs a later one."""
        with suppress(OSError):
            word = self._word()
            if word is None or not self._is_member:
                word = SyncWord(secrets.randbits(64) or 1, *self._which, 0, 0)
            word = word._replace(begun=word.begun + 1)
            self._file.write(word)
            self._is_member = True
            return word
        return None

    def _end(self, word: SyncWord | None) -> None:
        """Say that the fsync succeeded, unless somebody changed the word meanwhile."""
        with suppress(OSError):
            if word and self._file.read() == word:
                self._file.write(word._replace(done=word.begun))
