"""The result of one check of `gate doctor`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A check, what it found, and what to change; `change` is empty if nothing is wrong."""

    check: str
    found: str
    change: str = ""

    @property
    def ok(self) -> bool:
        """True if nothing has to be changed."""
        return not self.change
