"""RabbitMQ as the broker, asked without Celery: whether it answers, what it is, and how many messages wait.

The ledger never depends on it. Every question has a deadline, because a stopped server accepts connections and answers
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from server_urls import amqp_url
from state.redis.away import RedisAway

#: Seconds for the connection, and for each answer.
TIMEOUT = 3.0


class BrokerAway(RedisAway):
    """Raised when RabbitMQ does not answer, or refuses the login or the virtual host."""


@contextmanager
def connected(url: str) -> Iterator[Any]:
    """Yield an open connection of py-amqp to the server at `url`; raise BrokerAway if there is none."""
    import amqp  # noqa: PLC0415 - only an installation with RabbitMQ needs it

    server = amqp_url.read(url)
    connection = amqp.Connection(
        host=f"{server.host}:{server.port}",
        userid=server.username or "guest",
        password=server.password or "guest",
        virtual_host=server.virtual_host,
        ssl=server.ssl_options or False,
        connect_timeout=TIMEOUT,
        read_timeout=TIMEOUT,
        write_timeout=TIMEOUT,
    )
    try:
        connection.connect()
        yield connection
        connection.close()
    except (amqp.AMQPError, OSError) as error:
        raise BrokerAway(f"{server.address}: {error or 'it does not answer'}") from error
    finally:
        connection.collect()


def messages(url: str, queue: str) -> int | None:
    """Return how many messages of a queue wait for a worker, without those that a worker has; None without such a queue.

    Args:
        url: The server.
        queue: The name of the queue.

    Raises:
        BrokerAway: The server does not answer.

    """
    import amqp  # noqa: PLC0415 - likewise

    with connected(url) as connection:
        try:
            return int(connection.channel().queue_declare(queue, passive=True).message_count)
        except amqp.NotFound:
            return None
