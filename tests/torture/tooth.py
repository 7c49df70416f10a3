"""One tooth: a product without one defence, and where its absence must show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.torture.build import Build


@dataclass(frozen=True)
class Change:
    """One place of one file."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Tooth:
    """A product without one defence, and the scenarios of which at least one must go red."""

    name: str
    without: str
    changes: tuple[Change, ...]
    scenarios: tuple[str, ...]

    def build(self, source: Path) -> Build:
        """The product without this defence."""
        build = Build(source, self.name.replace(" ", "-"))
        for change in self.changes:
            build.replace(change.file, change.old, change.new)
        return build
