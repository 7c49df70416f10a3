"""The file beside the journal in which processes of this machine tell each other how far the disk is, and its lock."""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple, Self

from state.files import FILE

#: The fields of `SyncWord`, and a checksum of them.
_FORMAT = struct.Struct("<5QI")
_FIELDS = struct.Struct("<5Q")


class SyncWord(NamedTuple):
    """The progress of the fsyncs of one file."""

    era: int  #: random; another one for each process that begins to sync for others
    device: int  #: of the file
    inode: int
    begun: int  #: the number of the newest fsync that began
    done: int  #: the number of the newest fsync that succeeded

    def packed(self) -> bytes:
        """Return the word with a checksum: it is read without a lock, and half of it may be older than the rest."""
        return _FORMAT.pack(*self, zlib.crc32(_FIELDS.pack(*self)))

    @classmethod
    def of(cls, packed: bytes) -> Self | None:
        """Return the word, None if it is not whole."""
        if len(packed) != _FORMAT.size:
            return None
        *fields, checksum = _FORMAT.unpack(packed)
        return cls(*fields) if zlib.crc32(packed[: _FIELDS.size]) == checksum else None


class SyncWordFile:
    """The file of the word, opened when it is first needed. Every method raises OSError if the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def lock(self) -> bool:
        """Lock the file against other processes, and return whether it was free; never wait for it."""
        try:
            fcntl.flock(self._open(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(self) -> None:
        """Release the lock, also if a process that was forked while it was held has a copy."""
        if self._descriptor >= 0:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def read(self) -> SyncWord | None:
        """Return the word, None if there is none."""
        return SyncWord.of(os.pread(self._open(), _FORMAT.size, 0))

    def write(self, word: SyncWord) -> None:
        """Write the word; the caller holds the lock."""
        os.pwrite(self._open(), word.packed(), 0)

    def _open(self) -> int:
        if self._descriptor < 0:
            self._descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, FILE)
        return self._descriptor

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
