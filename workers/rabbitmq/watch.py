"""The watch of a worker's connections to RabbitMQ: it reconnects when one of them was given up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workers.rabbitmq import queues
from workers.rabbitmq.transport import NotConfirmed
from workers.timer_step import TimerStep

#: Seconds between two looks; one costs nothing.
EVERY = 1.0


class ConnectionWatch(TimerStep):
    """A timer that ends the worker's loop when a connection is gone, so that Celery opens all of them again.

    Celery's own events are kept for later when one cannot be sent, so nothing else would say that their connection is
    gone; and a probe takes an error for that of an absent broker.
    """

    def start(self, parent: Any) -> None:
        """Declare the queue of dead letters, and begin to look. Celery calls this after every reconnection, too."""
        self._parent = parent
        queues.dead_letters().bind(parent.connection.default_channel).queue_declare()
        self.repeat(parent, EVERY, self.check)

    def check(self) -> None:
        """Raise NotConfirmed if a connection of this worker was given up."""
        if not all(connection.connected for connection in self._connections()):
            raise NotConfirmed("the broker stopped answering; all connections are opened again")

    def _connections(self) -> Iterator[Any]:
        yield self._parent.connection
        if self._parent.event_dispatcher:
            yield self._parent.event_dispatcher.connection
