"""Waiting in tests: look again and again, up to a deadline; never sleep and hope."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from typing import TypeVar

INTERVAL = 0.02
#: Deadlines are written for an idle machine with two cores. A crowded one may take this many times as long.
CROWDED = 6

T = TypeVar("T")


class GaveUp(AssertionError):
    """Raised by a condition that can never come true any more, and by `until` at its deadline."""


def patient(seconds: float) -> float:
    """Return how long a crowded machine may take for what takes an idle one `seconds` at most."""
    return seconds * CROWDED


def until(
    condition: Callable[[], T | None], deadline: float = 10.0, what: str | Callable[[], str] = "the condition"
) -> T:
    """Wait until `condition` returns something true, and return that.

    `what` names what is awaited; a function is asked at the deadline, for what is known only then.

    An exception counts as "not yet", and is shown if nothing better comes. The deadline is in seconds of an idle
    machine: it ends a test that failed, and never decides whether a test passes on a slow machine.
    """
    end = time.monotonic() + patient(deadline)
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
            awaited = what if isinstance(what, str) else what()
            raise GaveUp(f"waited {patient(deadline):g} s for {awaited}; {last}") from problem
        time.sleep(INTERVAL)


def avoid_midnight(minutes: float = 1) -> None:
    """Wait for the next day, in UTC, if it begins within so many minutes: for steps that belong to one and the same day."""
    now = datetime.now(UTC)
    left = datetime.combine(now.date() + timedelta(days=1), clock.min, UTC) - now
    if left < timedelta(minutes=minutes):
        time.sleep(left.total_seconds() + 0.1)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail if the block takes longer than a crowded machine may.

    Use it only where the fault that is looked for lasts much longer: a minute, or for ever.
    """
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < patient(seconds), f"took {took:.1f} s; at most {patient(seconds):g} s on a crowded machine"
