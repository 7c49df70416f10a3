"""One thing that `gate doctor` looked at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What was found. `change` is empty when it is well."""

    check: str
    found: str
    change: str = ""

    @property
    def ok(self) -> bool:
        return not self.change
