"""Celery's settings for RabbitMQ, each with its reason where the default would do harm."""

from __future__ import annotations

from typing import Any

#: Seconds within which RabbitMQ has to confirm a message: it writes the message to its disk, and to those of its replicas.
CONFIRM_TIMEOUT = 5.0
#: Seconds for the TCP connection, and for each step of the login.
CONNECT_TIMEOUT = 4.0
#: Seconds for the answer to anything else that is asked, such as the length of a queue.
ANSWER_TIMEOUT = 2 * CONFIRM_TIMEOUT
#: Seconds; a silent server is noticed after two of them at the latest.
HEARTBEAT = 15

SETTINGS: dict[str, Any] = {
    "broker_transport_options": {
        # Without it a message that is published to a silent server is lost without a word.
        "confirm_publish": True,
        "read_timeout": ANSWER_TIMEOUT,
        "write_timeout": ANSWER_TIMEOUT,
        "client_properties": {"connection_name": "gatehouse"},
        # Of each try to connect, so that a worker's loop that asks for the length of a queue does not wait for a broker
        # that is away. A worker itself tries for ever.
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0,
        "interval_max": 0,
    },
    "broker_connection_timeout": CONNECT_TIMEOUT,
    "broker_heartbeat": HEARTBEAT,
    # One more try over a new connection, because the kept one may be stale; then the message is left to the sweeper.
    "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0},
    # RabbitMQ closes the channel of a worker that keeps a message for longer than consumer_timeout. The worker then
    # reconnects; by default it would end, and its other tasks with it.
    "broker_channel_error_retry": True,
}
