"""The queue probe: each worker sends itself a message through every queue it serves, and stops if none arrives.

A worker that no longer consumes still answers `inspect ping`, and its timers still run. A worker that misses its own
probes stops softly, as on SIGTERM; `make up`, systemd or Docker starts it again. A worker is not judged while it has no
free slot, while the broker is away, or while it receives messages.
"""

from __future__ import annotations

import os
import secrets
import signal
from collections import Counter
from typing import Any

import structlog
from celery import Celery, shared_task
from celery.signals import task_received
from celery.utils import uuid

from workers.timer_step import TimerStep

log = structlog.get_logger("gatehouse.queue_probe")

#: Seconds between two checks. Each sends one message per queue.
EVERY = 20.0
#: Probes missed in a row after which an idle worker is deaf: one is lost when Redis is emptied, two by bad luck.
MAX_MISSED = 3
#: The same while attempts still run: together longer than the usual lease, in which they should have ended.
MAX_MISSED_BUSY = 9
#: How often workers that share a queue pass a probe on before they drop it.
MAX_HOPS = 50

#: The task's name in messages. It must not change: during a rolling deployment workers of two versions share queues.
NAME = "gatehouse.canary"
#: Identifies this worker and the children of its pool.
SELF = secrets.token_hex(8)


@shared_task(name=NAME, bind=True, ignore_result=True, acks_late=False, send_events=False)
def probe(task: Any, queue: str, worker: str, hops: int) -> None:
    """Receive a probe: drop it if this worker sent it, otherwise pass it on.

    Redis serves the client that has waited longest, so a probe that is passed on reaches its sender.
    """
    if worker != SELF and hops < MAX_HOPS:
        with task.app.producer_or_acquire() as producer:
            send_probe(task.app, producer, queue, worker, hops + 1)


def send_probe(app: Celery, producer: Any, queue: str, worker: str = SELF, hops: int = 0) -> None:
    """Send one probe to a queue, without a Celery event: probes would fill Flower's list of tasks.

    Args:
        app: The Celery application.
        producer: The kombu producer to send it with.
        queue: The queue's name.
        worker: The worker that the probe belongs to.
        hops: How often it has been passed on.

    """
    message = app.amqp.create_task_message(uuid(), NAME, args=(queue, worker, hops), ignore_result=True)
    app.amqp.send_task_message(producer, NAME, message, queue=queue, retry=False)


class QueueProbe(TimerStep):
    """Probes the queues of its worker."""

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._queues: set[str] = set()
        self._missed: Counter[str] = Counter()

    def start(self, parent: Any) -> None:
        """Start the timer. Celery calls this after every reconnection, too."""
        self._parent = parent
        self._queues |= _direct_queues(parent.app)  # a queue that is cancelled later stays here, and is probed
        self._missed.clear()
        task_received.connect(self._received)
        self.repeat(parent, EVERY, self.check)

    def stop(self, parent: Any) -> None:
        """Stop the timer."""
        task_received.disconnect(self._received)
        super().stop(parent)

    def check(self) -> None:
        """Send a probe to each queue, or stop the worker if it missed too many."""
        if not self._has_free_slot():
            return
        allowed = MAX_MISSED_BUSY if self._running() else MAX_MISSED
        for queue in self._queues:
            if self._missed[queue] >= allowed:
                self._stop_worker(queue)
                return
            self._send(queue)

    def _received(self, request: Any, **_: Any) -> None:
        self._missed[request.delivery_info["routing_key"]] = 0

    def _has_free_slot(self) -> bool:
        slots: int = self._parent.pool.num_processes
        prefetched: int = self._parent.qos.value or slots  # fewer for a while after a lost connection
        return self._running() < min(slots, prefetched)

    def _running(self) -> int:
        """Return how many messages this worker has taken and not finished."""
        return len(self._parent.controller.state.reserved_requests)

    def _send(self, queue: str) -> None:
        app = self._parent.app
        try:
            # Use the open connection: a new one would be retried until the broker comes back.
            send_probe(app, app.amqp.Producer(self._parent.connection, auto_declare=False), queue)
            self._missed[queue] += 1
        except (*self._parent.connection_errors, *self._parent.channel_errors) as error:
            self._missed.clear()  # the broker is away, which proves nothing about this worker
            log.debug("probe not sent", queue=queue, error=str(error))

    def _stop_worker(self, queue: str) -> None:
        log.error("worker deaf", queue=queue, missed=self._missed[queue], hint="it stops, to be started again")
        os.kill(os.getpid(), signal.SIGQUIT)


def _direct_queues(app: Celery) -> set[str]:
    """Return the names of this worker's queues that take messages addressed to their name."""
    return {name for name, queue in app.amqp.queues.consume_from.items() if queue.exchange.type == "direct"}
