"""The version before: its source, taken out of this clone."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.harness.install import ROOT
from tests.torture.build import SOURCES

#: Names the version, by a tag or a commit.
FILE = Path(__file__).with_name("previous.txt")


class NotInClone(Exception):
    """Raised when the clone does not have the version before, because it is shallow or not a clone at all."""


def version() -> str:
    """The tag or the commit of the version before."""
    [found] = [line for line in FILE.read_text().split("\n") if line and not line.startswith("#")]
    return found


class Previous:
    """`folder` is the root of the version before; it is gone at the end of the block."""

    def __init__(self, repository: Path = ROOT, named: str | None = None) -> None:
        self.version = named or version()
        packed = _archive(repository, self.version)
        self.folder = Path(tempfile.mkdtemp(prefix="version-before-"))
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(self.folder, filter="data")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _archive(repository: Path, named: str) -> bytes:
    """Pack the product of a version, and not its tests: both versions run under those of this one."""
    git = ["git", "-C", str(repository)]
    listed = subprocess.run([*git, "ls-tree", "--name-only", named], capture_output=True, text=True, check=False)
    if listed.returncode:
        raise NotInClone(
            f"this clone does not have {named}, which {FILE.name} names; fetch it with: git fetch --unshallow --tags"
        )
    parts = [name for name in listed.stdout.split() if name in SOURCES or name.endswith(".py") or name == "Procfile"]
    return subprocess.run([*git, "archive", named, *parts], capture_output=True, check=True).stdout
