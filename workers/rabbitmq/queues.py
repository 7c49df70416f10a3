"""The queues of RabbitMQ: all are quorum queues, and a message that keeps coming back ends in a queue for people."""

from __future__ import annotations

from typing import Any

from celery.app import amqp
from kombu import Exchange, Queue

#: How often a message comes back before it is dead-lettered: each restart of the broker or of a worker brings it back once.
DELIVERY_LIMIT = 20
#: The queue of dead-lettered messages. The register still has their calls, and the sweeper sends them again.
DEAD = "gatehouse.dead"
#: Messages that it keeps, the newest ones, and for how long, in ms.
MAX_DEAD = 10_000
DEAD_FOR = 7 * 86_400_000
#: ms for which a worker may keep a message unacknowledged. RabbitMQ before 3.12 reads it only in its own configuration.
CONSUMER_TIMEOUT = 86_400_000

#: What every queue of calls is declared with. RabbitMQ refuses a queue that exists with other arguments.
ARGUMENTS: dict[str, Any] = {
    "x-queue-type": "quorum",
    "x-delivery-limit": DELIVERY_LIMIT,
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": DEAD,
    "x-consumer-timeout": CONSUMER_TIMEOUT,
}


class Queues(amqp.Queues):
    """Celery's queues, each declared as a quorum queue."""

    def __setitem__(self, name: str, queue: Queue) -> None:
        given: dict[str, Any] = queue.queue_arguments or {}
        queue.queue_arguments = given | ARGUMENTS
        super().__setitem__(name, queue)


class AMQP(amqp.AMQP):
    """Celery's view of the broker, with these queues."""

    queues_cls = Queues


def dead_letters() -> Queue:
    """Return the queue of dead-lettered messages, which the default exchange reaches by its name."""
    arguments = {"x-queue-type": "quorum", "x-max-length": MAX_DEAD, "x-message-ttl": DEAD_FOR}
    return Queue(DEAD, Exchange(""), routing_key=DEAD, queue_arguments=arguments)
