"""Close connections that occupy the web process: unfinished requests, clients that do not read, and too many at once.

uvicorn closes only connections that are idle between two requests; its limit_concurrency would answer 503 to everyone
while slow clients hold their connections. Each connection costs a file descriptor, and a process without a free one
answers nobody. `install` runs where the application is created, so that it holds however uvicorn is started.
"""

from __future__ import annotations

import asyncio
import resource
import time
from dataclasses import dataclass, field
from typing import Any

import structlog
from uvicorn.protocols.http.auto import AutoHTTPProtocol

log = structlog.get_logger("gatehouse.web")

#: Seconds from the start of a connection, or the end of a response, until the next request's headers are complete.
HEADER_SECONDS = 10.0
#: Seconds from complete headers until the whole response is sent; our pages are small.
EXCHANGE_SECONDS = 120.0
#: Bytes that may arrive outside a request: headers, and the rest of a body that was refused.
MAX_HEADER_BYTES = 64 * 1024
#: Connections at once, if the limit of file descriptors is at least twice that.
MAX_CONNECTIONS = 1_000
#: File descriptors that this process asks for, as far as its hard limit allows.
WANTED_DESCRIPTORS = 4_096
#: Seconds between two checks of all connections.
CHECK_SECONDS = 1.0

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


@dataclass
class _Progress:
    """The progress of one connection: its request, whether that is in progress, since when, and the bytes since then."""

    cycle: Any = None
    busy: bool = False
    since: float = field(default_factory=time.monotonic)
    size: int = 0


class ConnectionLimits:
    """The limits on all connections of one process.

    Args:
        max_connections: How many connections may be open at once.

    """

    def __init__(self, max_connections: int) -> None:
        self._max_connections = max_connections
        self._progress: dict[Any, _Progress] = {}
        self._timer: asyncio.TimerHandle | None = None

    def opened(self, connection: Any) -> None:
        """Add a connection. If there are too many, close the one that has waited longest for its request."""
        if len(self._progress) >= self._max_connections:
            self._make_room(connection)
        self._progress[connection] = _Progress()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CHECK_SECONDS, self._check_periodically)

    def received(self, connection: Any, size: int) -> None:
        """Count the bytes that arrived outside a request, and answer 431 to too many."""
        progress = self._progress.get(connection)
        if progress is None:
            return
        self._update(connection, progress)
        if progress.busy:
            return
        progress.size += size
        if progress.size > MAX_HEADER_BYTES and not connection.transport.is_closing():
            connection.transport.write(_TOO_LARGE)
            self._close(connection, "its headers are too large")

    def closed(self, connection: Any) -> None:
        """Forget a connection that has ended."""
        self._progress.pop(connection, None)

    def _make_room(self, newest: Any) -> None:
        waiting = [(progress.since, each) for each, progress in self._progress.items() if not progress.busy]
        oldest = min(waiting, key=lambda pair: pair[0])[1] if waiting else newest
        self._close(oldest, f"there are {self._max_connections} connections")

    def _check_periodically(self) -> None:
        self._timer = None
        self._check()
        if self._progress:
            self._timer = asyncio.get_running_loop().call_later(CHECK_SECONDS, self._check_periodically)

    def _check(self) -> None:
        now = time.monotonic()
        for connection, progress in list(self._progress.items()):
            self._update(connection, progress)
            elapsed = now - progress.since
            if progress.busy and elapsed > EXCHANGE_SECONDS:
                self._close(connection, f"its request did not end within {EXCHANGE_SECONDS:g} s")
            elif not progress.busy and elapsed > HEADER_SECONDS:
                self._close(connection, f"it sent no complete request within {HEADER_SECONDS:g} s")

    def _update(self, connection: Any, progress: _Progress) -> None:
        cycle = connection.cycle
        busy = cycle is not None and not cycle.response_complete
        if busy != progress.busy or cycle is not progress.cycle:
            progress.cycle, progress.busy, progress.since, progress.size = cycle, busy, time.monotonic(), 0

    def _close(self, connection: Any, reason: str) -> None:
        log.debug("connection closed", reason=reason)
        self._progress.pop(connection, None)
        if connection.transport.get_write_buffer_size():
            connection.transport.abort()  # close() would wait until the client has read everything
        else:
            connection.transport.close()


def install(protocol: Any = AutoHTTPProtocol) -> None:
    """Apply the limits to every connection of uvicorn; a second call changes nothing.

    Args:
        protocol: uvicorn's protocol class, whose methods are wrapped.

    """
    if hasattr(protocol, "_gatehouse_limits"):
        return
    protocol._gatehouse_limits = limits = ConnectionLimits(_max_connections())  # noqa: SLF001 - our own mark
    made, received, lost = protocol.connection_made, protocol.data_received, protocol.connection_lost

    def connection_made(self: Any, transport: asyncio.Transport) -> None:
        made(self, transport)
        limits.opened(self)

    def data_received(self: Any, data: bytes) -> None:
        received(self, data)
        limits.received(self, len(data))

    def connection_lost(self: Any, exc: Exception | None) -> None:
        limits.closed(self)
        lost(self, exc)

    protocol.connection_made, protocol.data_received = connection_made, data_received
    protocol.connection_lost = connection_lost


def _max_connections() -> int:
    """Return half of the limit of file descriptors, after raising it: Redis, files and the listener need some too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(WANTED_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(8, min(MAX_CONNECTIONS, soft // 2))
