"""The worker's consumer: Celery's own, except that it drops a message that it cannot read, and sends events in batches.

It also drops a message for a task without a gate that carries the id of a registered call.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog
from celery.exceptions import WorkerShutdown
from celery.worker import state
from kombu.message import Message

from gatekeeper.policies.spec import registered
from gatekeeper.redact import describe
from gatekeeper.run import known
from state import hints
from state.errors import StoreError
from state.ledger import Ledger
from workers import queue_probe, reading
from workers.envelope import Unreadable, log_dropped

if TYPE_CHECKING:

    class CeleryConsumer:
        """The attributes that the type stubs leave out."""

        Blueprint: Any
        connection_errors: tuple[type[Exception], ...]
        channel_errors: tuple[type[Exception], ...]
        app: Any
        connection: Any
        event_dispatcher: Any
        hub: Any

        def _flush_events(self) -> None: ...

        def shutdown(self) -> None: ...

        def on_connection_error_after_connected(self, exc: Exception) -> None: ...

        def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Message], None]: ...

else:
    from celery.worker.consumer import Consumer as CeleryConsumer

log = structlog.stdlib.get_logger("gatehouse.broker")

#: Seconds for which events of tasks are collected, and how many at most. Celery sends them at each turn of its loop, which
#: costs the main process of a busy worker a third of its time.
EVENT_SECONDS = 0.2
MAX_EVENTS = 200

#: What RabbitMQ says when a worker keeps a message for longer than consumer_timeout: it is delivered again.
TOO_LONG = "delivery acknowledgement on channel"


def _own_steps(blueprint: Any) -> Any:
    """Return Celery's steps without the 28 queues in which RabbitMQ would keep delayed messages: the register has delays."""
    steps = [step for step in blueprint.default_steps if "DelayedDelivery" not in step]
    return type("OwnSteps", (blueprint,), {"default_steps": steps})


class Consumer(CeleryConsumer):
    """A consumer that hands only well-formed messages to Celery."""

    Blueprint = _own_steps(CeleryConsumer.Blueprint)

    _events_due = 0.0

    def on_send_event_buffered(self) -> None:
        """Send the events of tasks a moment later; Celery calls this in any thread, after each of them."""
        now = time.monotonic()
        if self.hub and now >= self._events_due:
            self._events_due = now + EVENT_SECONDS
            self.event_dispatcher.buffer_limit = MAX_EVENTS
            self.hub.call_soon(self.hub.call_later, EVENT_SECONDS, self._flush_events)

    def shutdown(self) -> None:
        """Send the last events, those of tasks that ended during the shutdown too, before the connection is closed."""
        self._flush_events()
        super().shutdown()

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Connect again; end the worker if RabbitMQ refuses what it asks for, because it would refuse that for ever."""
        if isinstance(exc, self.channel_errors) and TOO_LONG not in str(exc):
            log.critical("broker refuses", why=describe(exc), hint=hints.gatehouse("doctor"))
            raise WorkerShutdown(1) from exc
        super().on_connection_error_after_connected(exc)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Message], None]:
        """Return the function that Celery calls with each task message."""
        handle = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Message) -> None:
            try:
                reading.read(message)
                _check_id(message.headers)
            except Unreadable as error:
                self._drop(message, str(error))
            else:
                self._handle(handle, message)

        return on_task_received

    def on_decode_error(self, message: Message, exc: Exception) -> None:
        """Drop a message that cannot be decoded."""
        self._drop(message, describe(exc))

    def on_unknown_message(self, body: Any, message: Message) -> None:  # noqa: ARG002 - Celery's signature
        """Drop a message that is not a task message."""
        self._drop(message, "it is not a task message")

    def on_invalid_task(self, body: Any, message: Message, exc: Exception) -> None:  # noqa: ARG002 - Celery's signature
        """Drop a message that Celery refuses."""
        self._drop(message, describe(exc))

    def _handle(self, handle: Callable[[Message], None], message: Message) -> None:
        """Hand a message to Celery; drop it if that fails, because it would come back for ever."""
        try:
            handle(message)
        except (*self.connection_errors, *self.connection.channel_errors):
            raise
        except Exception as error:  # noqa: BLE001 - any error would end this worker and the next
            request = state.requests.get(message.headers["id"])
            if request is not None:
                state.task_ready(request)
            self._drop(message, f"Celery cannot take it: {describe(error)}")

    def _drop(self, message: Message, why: str) -> None:
        fields = {name: value for name in ("task", "id") if isinstance(value := message.headers.get(name), str)}
        body = message.body.decode(errors="replace") if isinstance(message.body, bytes) else str(message.body)
        log_dropped(why, str(message.delivery_info.get("routing_key")), body, **fields)
        if not message.acknowledged:
            message.ack_log_error(log, self.connection_errors)


def _check_id(headers: dict[str, Any]) -> None:
    """Raise Unreadable for a task without a gate under the id of a registered call: its result would replace the call's."""
    task, call = headers["task"], headers["id"]
    if task in registered() or task == queue_probe.NAME:
        return
    try:
        agent = known.find_agent(Ledger(), call)
    except StoreError as error:
        raise Unreadable(f"its id cannot be checked while Redis is away: {describe(error)}") from None
    if agent is not None:
        raise Unreadable(f"it carries the id of a call of the agent {agent}, and is for another task")
