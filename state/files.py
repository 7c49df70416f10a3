"""Files on this machine: write one atomically, and lock one against other processes."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: What the name of an unfinished file ends in; a writer that was killed leaves one behind.
UNFINISHED = ".tmp"
#: The mode of a file for its owner alone.
FILE = 0o600
#: Seconds between two tries to get a lock.
LOCK_INTERVAL = 0.05
#: Seconds to wait for a lock. Its holder may be stopped (SIGSTOP, a frozen disk), so nothing waits without a limit.
PATIENCE = 10.0


def write_atomic(path: Path, data: bytes, *, public: bool = False) -> None:
    """Replace a file whole: readers see the old bytes or the new ones, also when the writer is killed.

    The data is on the disk when this returns.

    Args:
        path: The file; its folder must exist.
        data: The new contents.
        public: Keep the mode of the file, or give a new file the mode that the umask allows. Otherwise only this user
            may read the file.

    Raises:
        OSError: The file cannot be written; the old one is unchanged.

    """
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}{UNFINISHED}")
    try:
        _write_synced(unfinished, data, _known_mode(path) if public else FILE)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _known_mode(path: Path) -> int | None:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return None


def _write_synced(path: Path, data: bytes, mode: int | None) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, FILE if mode is not None else 0o666)
    with os.fdopen(descriptor, "wb") as file:
        if mode is not None:
            os.fchmod(descriptor, mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries to the disk: otherwise a power cut could undo that a file was created or renamed."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def lock_file(path: Path, *, wait: float, flags: int = os.O_CREAT | os.O_RDWR) -> Iterator[int]:
    """Hold a file's lock for the length of the block; see `open_locked`. Yields the file's descriptor."""
    descriptor = open_locked(path, wait=wait, flags=flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_locked(path: Path, *, wait: float, flags: int = os.O_CREAT | os.O_RDWR) -> int:
    """Open a file, and lock it against every other process.

    Closing the descriptor releases the lock. The kernel releases it when the process dies.

    Args:
        path: The file; a new one is for this user only.
        wait: Seconds to wait while another process holds the lock.
        flags: How to open the file.

    Returns:
        The file's descriptor.

    Raises:
        BlockingIOError: Another process still holds the lock.
        OSError: The file cannot be opened.

    """
    descriptor = os.open(path, flags | os.O_CLOEXEC, FILE)
    try:
        _lock(descriptor, path, wait)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _lock(descriptor: int, path: Path, wait: float) -> None:
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                why = f"another process has held this lock for {wait:g} s: continue or end it"
                raise BlockingIOError(errno.EAGAIN, why, str(path)) from error
            time.sleep(LOCK_INTERVAL)
        else:
            return


def is_at(descriptor: int, path: Path) -> bool:
    """Return whether an open file is still the one at this path: a lock of a file that was removed keeps nobody out."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def is_locked(path: Path) -> bool:
    """Return whether a living process holds the lock of a file. Raises FileNotFoundError."""
    try:
        os.close(open_locked(path, wait=0, flags=os.O_RDONLY))
    except BlockingIOError:
        return True
    return False
