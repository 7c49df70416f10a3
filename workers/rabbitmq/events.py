"""Celery's events over RabbitMQ: each is tried once, and kept for later if it cannot be sent.

Celery tries to send a worker's sign of life for ever, from the main loop: while the server is silent, the worker would
take no message, sweep nothing, and look stuck.
"""

from __future__ import annotations

from typing import Any

from celery.app import events
from celery.events.dispatcher import EventDispatcher


class OneTryDispatcher(EventDispatcher):
    """A dispatcher that never tries again; the watch of the connections then opens them again."""

    def _publish(self, event: Any, producer: Any, routing_key: str, **_: Any) -> None:
        super()._publish(event, producer, routing_key)  # type: ignore[misc]  # a private method that the stubs leave out


class OneTryEvents(events.Events):
    """Celery's view of events, with this dispatcher."""

    dispatcher_cls = f"{__name__}:OneTryDispatcher"
