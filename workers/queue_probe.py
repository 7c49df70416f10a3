"""The canary: a message of our own in each queue that this worker serves. A worker that takes none is deaf, and ends.

Such a worker answers `inspect ping`, and its own timers run, but nothing it should run ever reaches it. So it judges
itself and asks itself to stop, as softly as on SIGTERM; whatever keeps it running (`make up`, systemd, Docker) starts it
again. One that must not be judged never is: without a free hand, without the broker, or as long as it takes messages.
"""

from __future__ import annotations

import os
import secrets
import signal
from collections import Counter
from typing import Any

import structlog
from celery import Celery, bootsteps, shared_task
from celery.signals import task_received
from celery.utils import uuid

log = structlog.get_logger("gatehouse.canary")

#: Seconds between two looks. Each costs a message per queue, unless something came out of that queue since the last.
EVERY = 20.0
#: So many canaries in a row that did not come: one is lost when Redis is emptied, two by bad luck.
DEAF = 3
#: So many, if attempts still run: together longer than the usual lease, in which they should have ended.
DEAF_AND_BUSY = 9
#: Several workers at one queue pass a canary on until it is where it belongs; beyond so many it is not.
MAX_FLIGHTS = 50

NAME = "gatehouse.canary"
#: This worker, and the children of its pool.
SELF = secrets.token_hex(8)


@shared_task(name=NAME, bind=True, ignore_result=True, acks_late=False, send_events=False)
def canary(task: Any, queue: str, worker: str, flights: int) -> None:
    """Nothing for the worker that sent it: it came. Another one lets it fly on; Redis serves who waited longest."""
    if worker != SELF and flights < MAX_FLIGHTS:
        with task.app.producer_or_acquire() as producer:
            let_fly(task.app, producer, queue, worker, flights + 1)


def let_fly(app: Celery, producer: Any, queue: str, worker: str = SELF, flights: int = 0) -> None:
    """Send one. It makes no event, or Flower would soon remember nothing else."""
    message = app.amqp.create_task_message(uuid(), NAME, args=(queue, worker, flights), ignore_result=True)
    app.amqp.send_task_message(producer, NAME, message, queue=queue, retry=False)


class Canary(bootsteps.StartStopStep):
    """Looks at its worker in that worker's own loop; a lost connection stops and starts it with the consumer."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._timer: Any = None
        self._queues: set[str] = set()
        self._missed: Counter[str] = Counter()

    def start(self, parent: Any) -> None:
        """Begin anew with the consumer."""
        self._parent = parent
        self._queues |= _direct(parent.app)  # one that is cancelled later is no longer among them
        self._missed.clear()
        task_received.connect(self._took)
        self._timer = parent.timer.call_repeatedly(EVERY, self.look)

    def stop(self, parent: Any) -> None:  # noqa: ARG002 - Celery's signature
        """End with the consumer."""
        task_received.disconnect(self._took)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def look(self) -> None:
        """One round: is a queue silent for us although we could take something?"""
        if not self._has_a_free_hand():
            return
        patience = DEAF_AND_BUSY if self._at_work() else DEAF
        for queue in self._queues:
            if self._missed[queue] >= patience:
                self._end(queue)
                return
            self._send(queue)

    def _took(self, request: Any, **_: Any) -> None:
        self._missed[request.delivery_info["routing_key"]] = 0

    def _has_a_free_hand(self) -> bool:
        hands: int = self._parent.pool.num_processes
        prefetched: int = self._parent.qos.value or hands  # fewer for a while after a lost connection
        return self._at_work() < min(hands, prefetched)

    def _at_work(self) -> int:
        """How many messages this worker took and has not ended."""
        return len(self._parent.controller.state.reserved_requests)

    def _send(self, queue: str) -> None:
        app = self._parent.app
        try:
            # On the connection that is open: another one would be tried until the broker comes back.
            let_fly(app, app.amqp.Producer(self._parent.connection, auto_declare=False), queue)
            self._missed[queue] += 1
        except (*self._parent.connection_errors, *self._parent.channel_errors) as error:
            self._missed.clear()  # the broker is away, and the worker not to blame
            log.debug("no canary", queue=queue, error=str(error))

    def _end(self, queue: str) -> None:
        log.error("worker deaf", queue=queue, canaries=self._missed[queue], next="it stops, to be started again")
        os.kill(os.getpid(), signal.SIGQUIT)


def _direct(app: Celery) -> set[str]:
    """The queues that this worker was told to serve, where a message goes to one queue by its name."""
    return {name for name, queue in app.amqp.queues.consume_from.items() if queue.exchange.type == "direct"}
