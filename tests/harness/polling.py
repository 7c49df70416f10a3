"""Waiting in tests: look again and again, up to a deadline; never sleep and hope."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

INTERVAL = 0.02

T = TypeVar("T")


class GaveUp(AssertionError):
    """Raised by a condition that can never come true any more, and by `until` at its deadline."""


def until(condition: Callable[[], T | None], deadline: float = 10.0, what: str = "the condition") -> T:
    """Wait for something true and return it; an exception counts as not yet and is shown if nothing better comes."""
    end = time.monotonic() + deadline
    while True:
        problem: Exception | None = None
        seen: object = None
        try:
            value = condition()
            if value:
                return value
            seen = value
        except GaveUp:
            raise
        except Exception as error:  # noqa: BLE001  a file that is not there yet, a server that is still starting
            problem = error
        if time.monotonic() >= end:
            last = f"last problem: {problem!r}" if problem else f"last seen: {seen!r}"
            raise GaveUp(f"waited {deadline:g} s for {what}; {last}") from problem
        time.sleep(INTERVAL)
