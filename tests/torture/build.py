"""A test build: a copy of the product's source in which something is different."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

#: What the product is made of, seen from its root.
SOURCES = ("server_urls", "state", "gatekeeper", "clients", "tasks", "workers", "web", "deploy", "content")


class NoMatch(AssertionError):
    """Raised when a change does not fit the source exactly once: the product has moved on, and so must the change."""


class Build:
    """`folder` is the root of the copy; it is gone at the end of the block."""

    def __init__(self, source: Path, name: str) -> None:
        self._whole = Path(tempfile.mkdtemp(prefix=f"build-{name}-"))
        self.folder = self._whole / "product"
        self.folder.mkdir()
        for part in SOURCES:
            shutil.copytree(source / part, self.folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        for file in (*source.glob("*.py"), source / "Procfile"):
            shutil.copy(file, self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._whole, ignore_errors=True)

    def replace(self, file: str, old: str, new: str) -> None:
        """Change one place; raises NoMatch unless it is there exactly once."""
        path = self.folder / file
        text = path.read_text()
        if text.count(old) != 1:
            raise NoMatch(f"{file} has {text.count(old)} places, not one, that read:\n{old}")
        path.write_text(text.replace(old, new))

    def touch_scripts(self) -> None:
        """Another digest for every script, as another version has."""
        for script in (self.folder / "state" / "scripts").glob("*.lua"):
            script.write_text(script.read_text() + "\n-- another version\n")
