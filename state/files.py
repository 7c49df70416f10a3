"""Write a file whole: readers see the old bytes or the new ones, never a part, also when the writer is killed."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

#: What the name of an unfinished file ends in; a writer that was killed leaves one behind.
UNFINISHED = ".tmp"


def write_whole(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, on disk when this returns; the folder must exist."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}{UNFINISHED}")
    try:
        _write_synced(unfinished, data)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
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
