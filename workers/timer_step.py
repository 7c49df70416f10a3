"""A step of the worker's consumer that repeats something in the worker's event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import bootsteps


class TimerStep(bootsteps.StartStopStep):
    """A timer that starts and stops with the consumer, so also after every reconnection to the broker."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    _timer: Any = None

    def repeat(self, consumer: Any, seconds: float, action: Callable[[], None]) -> None:
        """Call `action` every so many seconds until `stop`."""
        self._timer = consumer.timer.call_repeatedly(seconds, action)

    def stop(self, parent: Any) -> None:  # noqa: ARG002 - Celery's signature
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
