"""The number of messages that a worker holds: one for each of its processes or threads, and one more while its tasks are short.

A worker that holds only what it runs waits for the broker after each task. But a message that is held behind a task of
minutes waits for it while another worker is idle. So a worker takes more only while the last task took less than SHORT, and
so did everything that it holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable

#: Seconds from the delivery of a message to its acknowledgement within which a task counts as short.
SHORT = 0.1
#: Seconds for which the last task says something about the next ones.
RECENT = 1.0


class Pace:
    """The times of the messages that a worker holds; any thread may call it.

    Args:
        clock: Returns the time in seconds.

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}  #: oldest first
        self._short_until = 0.0

    def taken(self, tag: str) -> None:
        """Note that a message was delivered."""
        self._since[tag] = self._clock()

    def ended(self, tag: str) -> None:
        """Note that a message is acknowledged or goes back."""
        now = self._clock()
        since = self._since.pop(tag, 0.0)
        self._short_until = now + RECENT if now - since < SHORT else 0.0

    def is_short(self) -> bool:
        """Return whether the worker may hold more messages than it runs."""
        now = self._clock()
        held = list(self._since.values())
        return now < self._short_until and (not held or now - held[0] < SHORT)
