"""Installation of all that an application needs for RabbitMQ: our transport, our queues, and the watch of connections."""

from __future__ import annotations

from celery import Celery

from workers.rabbitmq import transport
from workers.rabbitmq.watch import ConnectionWatch


def install(app: Celery) -> None:
    """Prepare an application, before it opens its first connection.

    Args:
        app: The application, whose settings name RabbitMQ as the broker.

    """
    transport.install()
    app.amqp_cls = "workers.rabbitmq.queues:AMQP"
    app.events_cls = "workers.rabbitmq.events:OneTryEvents"
    app.steps["consumer"].add(ConnectionWatch)
