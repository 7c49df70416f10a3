"""The types of payloads by name, so that a payload which a person edited is validated as the task's own would be."""

from __future__ import annotations

import sys
from typing import Any


def name_of(kind: type) -> str:
    """Return the name under which a type is found again, as `module:QualName`."""
    return f"{kind.__module__}:{kind.__qualname__}"


def find(name: str) -> Any:
    """Return the type of this name from a module that is loaded, or None; nothing is imported because Redis names it."""
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) else None
