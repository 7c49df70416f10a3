"""The URL of the broker, from `BROKER_URL`: a Redis server or RabbitMQ, which its scheme decides."""

from __future__ import annotations

from server_urls import amqp_url, redis_url
from server_urls.amqp_url import AmqpUrl, is_amqp
from server_urls.redis_url import RedisUrl, UnusableUrl

__all__ = ["UnusableUrl", "is_amqp", "read"]


def read(url: str) -> RedisUrl | AmqpUrl:
    """Parse the URL of a broker.

    Raises:
        UnusableUrl: not every client could use it; the message never shows the URL.

    """
    if is_amqp(url):
        return amqp_url.read(url)
    try:
        found = redis_url.read(url)
    except UnusableUrl as error:
        if str(error).startswith("must start with"):
            raise UnusableUrl(f"{error}; RabbitMQ's URLs start with amqp:// or amqps://") from None
        raise
    if found.nodes:
        raise UnusableUrl(
            "must name another server where REDIS_URL names a cluster, which cannot carry Celery's messages; "
            "write amqp://, redis:// or sentinel://, as docs/brokers.md shows"
        )
    return found
