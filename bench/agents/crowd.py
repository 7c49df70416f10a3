"""Many agents that do nothing: `CROWD` in the environment says how many, each as if it had a module of its own."""

from __future__ import annotations

import os

import gatekeeper


def _add(number: int) -> None:
    def nothing(n: int) -> int:
        """Return the argument; a repeat-safe task."""
        return n

    nothing.__module__ = f"crowd.agent{number}"
    gatekeeper.task()(nothing)


for _number in range(int(os.environ.get("CROWD", "0"))):
    _add(_number)
