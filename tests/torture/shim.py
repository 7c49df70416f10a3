"""Wrong clocks and bad disks for single processes, by a small library that is preloaded into them."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

SOURCE = Path(__file__).with_name("shim.c")


def missing() -> str | None:
    """Why the library cannot be used here; None if it can."""
    if not sys.platform.startswith("linux"):
        return "a preloaded library needs Linux"
    return None if _compiler() else "no C compiler (cc) to build the preloaded library"


@cache
def library() -> Path:
    """The library, built once per run."""
    path = Path(mkdtemp(prefix="torture-shim-")) / "shim.so"
    compiler = _compiler()
    assert compiler is not None
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-o", str(path), str(SOURCE)], check=True)
    return path


class Shim:
    """The orders of one or more processes; `env` goes into their environment."""

    def __init__(self, folder: Path, name: str) -> None:
        path = folder / f"shim-{name}"
        path.write_bytes(bytes(32))
        self.env = {"LD_PRELOAD": str(library()), "SHIM": str(path)}
        with path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), 32)

    def clock(self, seconds: float) -> None:
        """The wall clock is so far ahead from now on."""
        self._put(0, round(seconds * 1_000_000_000))

    def slow_fsync(self, seconds: float) -> None:
        """Each fsync takes so much longer."""
        self._put(1, round(seconds * 1_000_000))

    def failing_fsync(self, error: int) -> None:
        """Each fsync of the journal fails with this errno; 0 for none."""
        self._put(2, error)

    def failing_write(self, error: int) -> None:
        """Each write to the journal fails with this errno; 0 for none."""
        self._put(3, error)

    def _put(self, place: int, value: int) -> None:
        struct.pack_into("<q", self._page, 8 * place, value)


def _compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc")
