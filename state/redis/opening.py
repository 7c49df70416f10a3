"""A client for a URL of the settings: of one server, or of the one that sentinels call the primary."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from server_urls import redis_url
from server_urls.redis_url import RedisUrl
from state.redis import connections

#: Seconds. A sentinel that is away is passed over, and the next one asked; they are close to each other and to us.
SENTINEL_TIMEOUT = 1.0

Kind = TypeVar("Kind", bound=Redis)


class Sentinels(Sentinel):  # type: ignore[misc]  # mypy does not see redis-py's types
    """The sentinels of a URL; redis-py's own name each of their options when they know no primary."""

    def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return where the primary is. Raises MasterNotFoundError."""
        try:
            host, port = super().discover_master(service_name)
        except MasterNotFoundError:
            asked = [one.connection_pool.connection_kwargs for one in self.sentinels]
            places = ", ".join(sorted(f"{one['host']}:{one['port']}" for one in asked))
            raise MasterNotFoundError(
                f"none of the sentinels {places} answers and knows a primary {service_name!r} that is up"
            ) from None
        return str(host), int(port)

    @classmethod
    def take_over(cls, manager: Sentinel) -> None:
        """Let sentinels that another library made speak like these."""
        manager.__class__ = cls


def open_client(kind: type[Kind], url: str, **options: Any) -> Kind:
    """Return a client of this class, which opens its TCP connections within its connect timeout.

    With sentinels, each new connection asks them for the primary; a primary that was made a replica is left.

    Args:
        kind: The class of the client.
        url: The server, in the form that `redis_url` writes.
        **options: Of each connection to the server, as redis-py takes them.

    """
    place = redis_url.read(url)
    if not place.sentinels:
        plain: Kind = kind.from_url(url, **options)
        return connections.with_deadline(plain)
    manager = Sentinels(place.sentinels, sentinel_kwargs=sentinel_options(place), **options)
    for sentinel in manager.sentinels:
        connections.with_deadline(sentinel)
    login = {"username": place.username or None, "password": place.password or None, "db": place.database}
    tls = {"ssl": True, **(place.ssl_options or {})} if place.tls is not None else {}
    found: Kind = manager.master_for(place.master, redis_class=kind, **login, **tls)
    return connections.with_deadline(found)


def open_node(kind: type[Kind], place: RedisUrl, at: tuple[str, int], **options: Any) -> Kind:
    """Return a client of one server of a cluster, with the login and the options of TLS of the cluster's URL.

    Args:
        kind: The class of the client.
        place: The cluster.
        at: The host and the port of the server.
        **options: Of each connection to it, as redis-py takes them.

    """
    host, port = at
    return open_client(kind, str(replace(place, nodes=(), host=host, port=port)), **options)


def sentinel_options(place: RedisUrl) -> dict[str, Any]:
    """Return the options of a connection to a sentinel for redis-py, which kombu and Celery pass on: it is asked once."""
    times = {"socket_timeout": SENTINEL_TIMEOUT, "socket_connect_timeout": SENTINEL_TIMEOUT}
    return {**times, **place.sentinel_options, "retry": Retry(NoBackoff(), 0)}
