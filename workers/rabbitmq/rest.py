"""The rest after a message that RabbitMQ did not take in time: the next ones are left to the sweeper at once."""

from __future__ import annotations

import time

from kombu.exceptions import OperationalError

#: Seconds after which a send that fails has waited for a silent server; one that is down refuses at once.
SLOW = 1.0
#: Seconds of rest. Each thread of the web process, and the loop of each worker, waits for the deadlines once in this time.
LENGTH = 5.0


class Rest:
    """The state of one process."""

    def __init__(self) -> None:
        self._until = 0.0

    def check(self) -> None:
        """Raise OperationalError while the rest lasts."""
        if time.monotonic() < self._until:
            raise OperationalError("the broker did not answer a moment ago")

    def begin(self, took: float) -> None:
        """Begin a rest after a send that failed, if it was slow.

        Args:
            took: Seconds that the send took.

        """
        if took > SLOW:
            self._until = time.monotonic() + LENGTH
