"""Files of the journal that a person compressed with gzip, and those that are as they were written."""

from __future__ import annotations

import gzip
import shutil
import tempfile
import zlib
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

#: What the name of a file that was compressed with gzip ends in.
COMPRESSED = ".gz"
#: What reading a compressed file raises if the file is cut off or damaged.
NOT_DECOMPRESSED = (EOFError, gzip.BadGzipFile, zlib.error)

#: Bytes compared at once.
PIECE = 1024 * 1024


def age(name: str) -> tuple[str, bool]:
    """Return the key by which names of files are sorted from the oldest to the newest; a compressed file is the older one."""
    return name.removesuffix(COMPRESSED), not name.endswith(COMPRESSED)


def open_file(path: Path) -> BinaryIO:
    """Open a file of the journal for reading, also one that was compressed with gzip."""
    if path.suffix != COMPRESSED:
        return path.open("rb")
    if path.stat().st_size == 0:
        raise EOFError("it is empty")  # gzip.open takes that for a file without records
    return cast("BinaryIO", gzip.open(path))


def open_seekable(path: Path) -> BinaryIO:
    """Open a file for reading at any offset; a compressed one is unpacked into an unnamed file beside it."""
    if path.suffix != COMPRESSED:
        return path.open("rb", buffering=0)
    unpacked = cast("BinaryIO", tempfile.TemporaryFile(dir=path.parent))  # noqa: SIM115 - the caller closes it
    with suppress(*NOT_DECOMPRESSED), open_file(path) as packed:  # `records.scan` reports where it cannot be read
        shutil.copyfileobj(packed, unpacked)
    unpacked.flush()
    return unpacked


def is_left_over(packed: Path) -> bool:
    """Return whether the file that was compressed is still there whole: gzip was interrupted, and its records count once."""
    plain = packed.with_suffix("")
    if not plain.exists():
        return False
    try:
        with open_file(packed) as before, plain.open("rb") as now:
            return all(piece == now.read(len(piece)) for piece in iter(partial(before.read, PIECE), b""))
    except NOT_DECOMPRESSED:
        return True  # cut off while it was written, which gzip does before it removes the plain file
