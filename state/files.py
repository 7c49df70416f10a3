"""Write a file whole: readers see the old bytes or the new ones, never a part, also when the writer is killed."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

#: What the name of an unfinished file ends in; a writer that was killed leaves one behind.
UNFINISHED = ".tmp"
#: The mode of a file for its owner alone.
FILE = 0o600


def write_atomic(path: Path, data: bytes, *, public: bool = False) -> None:
    """Replace `path` by `data`, on disk when this returns; the folder must exist.

    Only this user may read the file. A `public` one keeps the mode that it has, and a new one is as open as the umask lets.
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
    """Without this a power cut could undo that a file was made or renamed, although its data is on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
