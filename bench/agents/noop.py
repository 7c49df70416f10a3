"""Tasks that do nothing, so that only the way to them is measured."""

from __future__ import annotations

import gatekeeper
from gatekeeper import Effect


@gatekeeper.task()
def nothing(n: int) -> int:
    """Return the argument; a repeat-safe task."""
    return n


@gatekeeper.task(key="noop:{n}", effect=Effect())
def effect(n: int) -> int:
    """Cross the line, and send nothing."""
    with gatekeeper.effect(payload={"n": n}) as frozen:
        return frozen["n"]
