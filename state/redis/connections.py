"""Connections to Redis that open within one deadline, whatever the server's name resolves to."""

from __future__ import annotations

import socket
from typing import Any, TypeVar

from redis import Redis
from redis.connection import Connection, SSLConnection
from redis.sentinel import SentinelConnectionPool, SentinelManagedConnection, SentinelManagedSSLConnection

from state import dial

Client = TypeVar("Client", bound=Redis)


class DeadlineConnection(Connection):  # type: ignore[misc]  # mypy does not see redis-py's types
    """A TCP connection with one deadline; redis-py applies its timeout to each address, and not to the look-up."""

    def _connect(self) -> socket.socket:
        options: list[tuple[Any, ...]] = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        if self.socket_keepalive:
            options += [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
            options += [(socket.IPPROTO_TCP, *option) for option in self.socket_keepalive_options.items()]
        connected = dial.connect(self.host, int(self.port), self.socket_connect_timeout, options)
        connected.settimeout(self.socket_timeout)
        return connected


class DeadlineTLSConnection(SSLConnection, DeadlineConnection):  # type: ignore[misc]  # likewise
    """A TLS connection with one deadline."""


class DeadlineManagedConnection(SentinelManagedConnection, DeadlineConnection):  # type: ignore[misc]  # likewise
    """A TCP connection to the primary of sentinels, with one deadline."""


class DeadlineManagedTLSConnection(SentinelManagedConnection, DeadlineTLSConnection):  # type: ignore[misc]  # likewise
    """A TLS connection to the primary of sentinels, with one deadline."""


_WITH_DEADLINE = {
    Connection: DeadlineConnection,
    SSLConnection: DeadlineTLSConnection,
    SentinelManagedConnection: DeadlineManagedConnection,
    SentinelManagedSSLConnection: DeadlineManagedTLSConnection,
}


def with_deadline(client: Client) -> Client:
    """Make a client open its TCP connections within its connect timeout, and return it."""
    pool = client.connection_pool
    pool.connection_class = _WITH_DEADLINE.get(pool.connection_class, pool.connection_class)
    return client


def ask_sentinels_again(client: Redis) -> None:
    """Let the next command of a client with sentinels ask them for the primary; without sentinels do nothing.

    A primary that they cannot reach may still answer us, while another one has taken its place.
    """
    if isinstance(client.connection_pool, SentinelConnectionPool):
        client.connection_pool.disconnect(inuse_connections=False)
