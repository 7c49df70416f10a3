"""The progress of the copy of the table, in a small file beside it."""

from __future__ import annotations

import json
import os
import secrets
import zlib
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Self

from state import private
from state.files import FILE
from state.journal.shared.rows import NOTHING_SEEN, next_of

#: The name of the file, and of the folders of copies.
_STATE, _FOLDER = ".state", "copy-"


@dataclass(frozen=True)
class CopyState:
    """A copy, and what of the table is in it."""

    folder: str
    boot: str  #: of the machine: its files may be damaged after another one
    incarnation: str = ""
    snapshot: str = NOTHING_SEEN  #: which transactions are in it
    files: dict[str, int] = field(default_factory=dict)  #: name → bytes

    @property
    def newest(self) -> str:
        """The file to which rows are appended; "" if there is none yet."""
        return max(self.files, default="")

    @property
    def next(self) -> int:
        """The number that the next transaction got when the copy was brought up to date."""
        return next_of(self.snapshot)

    @classmethod
    def of_nothing(cls, folder: str) -> Self:
        """Return the state of an empty copy."""
        return cls(folder, _boot())

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return the state, None if there is none or the files are not as it says."""
        found = cls._stored(folder)
        if found is None or found.boot != _boot():
            return None
        return found if found.fits(folder / found.folder) else None

    @classmethod
    def last_folder(cls, folder: Path) -> Path | None:
        """Return the folder of the last copy, however it is; None if there is none."""
        found = cls._stored(folder)
        return folder / found.folder if found and (folder / found.folder).is_dir() else None

    @classmethod
    def _stored(cls, folder: Path) -> Self | None:
        with suppress(OSError, ValueError, TypeError):
            text, _, checksum = (folder / _STATE).read_bytes().rstrip(b"\n").rpartition(b"\n")
            if text and int(checksum, 16) == zlib.crc32(text):
                return cls(**json.loads(text))
        return None

    def write(self, folder: Path) -> None:
        """Replace the stored state with this one, with one write. Raises OSError."""
        text = json.dumps(asdict(self)).encode()
        data = b"%b\n%08x\n" % (text, zlib.crc32(text))
        descriptor = os.open(folder / _STATE, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, FILE)
        try:
            os.pwrite(descriptor, data, 0)
            os.ftruncate(descriptor, len(data))
        finally:
            os.close(descriptor)

    def with_file(self, file: Path) -> Self:
        """Return the state with the present size of a file."""
        return replace(self, files=self.files | {file.name: file.stat().st_size})

    def at(self, incarnation: str, snapshot: str) -> Self:
        """Return the state after everything that a snapshot shows was added."""
        return replace(self, incarnation=incarnation, snapshot=snapshot)

    def left_over(self, folder: Path) -> Counter[bytes]:
        """Return the lines that were appended, by a process that ended before it said so."""
        newest = folder / self.folder / self.newest
        if not self.newest or newest.stat().st_size == self.files[self.newest]:
            return Counter()
        with newest.open("rb") as file:
            file.seek(self.files[self.newest])
            return Counter(file.read().split(b"\n")[:-1])

    def fits(self, folder: Path) -> bool:
        """Return whether the files of a folder are as this says, or are longer by what was left over."""
        try:
            sizes = {each.name: each.stat().st_size for each in os.scandir(folder)}
        except OSError:
            return False
        left = sizes.get(self.newest, 0) - self.files.get(self.newest, 0)
        return left >= 0 and sizes == self.files | ({self.newest: sizes[self.newest]} if left else {})


def new_folder(folder: Path) -> Path:
    """Create a folder for a copy."""
    return private.folder(folder / f"{_FOLDER}{secrets.token_hex(4)}")


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return secrets.token_hex(8)  # each process then makes a copy of its own
