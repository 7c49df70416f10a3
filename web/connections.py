"""Connections that keep the web process busy with nothing: half a request, a body or a reader that drips, too many at once.

uvicorn ends a connection that is idle between two requests, and no other. Each costs a file descriptor, and without one
left nobody is answered. `install` is called where the application is made, so that it holds however uvicorn is started.
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

#: Seconds from the beginning of a connection, or the end of a response, until the next request's headers are whole.
HEAD_SECONDS = 10.0
#: Seconds from whole headers until the response is on its way entirely; our pages are small.
EXCHANGE_SECONDS = 120.0
#: Bytes that may come while no request is under way: headers, and what is left of a body that was refused.
MAX_HEAD = 64 * 1024
#: Connections at once, where the limit of file descriptors allows twice as many.
MAX_CONNECTIONS = 1_000
#: File descriptors that this process asks for, if it may have them.
WANTED_DESCRIPTORS = 4_096
#: Seconds between two looks at all connections.
LOOK = 1.0

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


@dataclass
class _Seen:
    """What is known of one connection: its request at the last look, since when it stands so, and bytes since then."""

    cycle: Any = None
    busy: bool = False
    since: float = field(default_factory=time.monotonic)
    size: int = 0


class Watch:
    """All connections of one process."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: dict[Any, _Seen] = {}
        self._timer: asyncio.TimerHandle | None = None

    def made(self, connection: Any) -> None:
        """Take a new connection in; if there are too many, the one that has waited longest goes."""
        if len(self._seen) >= self._most:
            self._make_room(connection)
        self._seen[connection] = _Seen()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK, self._look_and_go_on)

    def received(self, connection: Any, size: int) -> None:
        """Count what came outside of requests, and refuse too much of it."""
        seen = self._seen.get(connection)
        if seen is None:
            return
        self._update(connection, seen)
        if seen.busy:
            return
        seen.size += size
        if seen.size > MAX_HEAD and not connection.transport.is_closing():
            connection.transport.write(_TOO_LARGE)
            self._end(connection, "its headers are too large")

    def lost(self, connection: Any) -> None:
        """Forget a connection that is over."""
        self._seen.pop(connection, None)

    def _make_room(self, newest: Any) -> None:
        waiting = [(seen.since, connection) for connection, seen in self._seen.items() if not seen.busy]
        oldest = min(waiting, key=lambda one: one[0])[1] if waiting else newest
        self._end(oldest, f"there are {self._most} connections")

    def _look_and_go_on(self) -> None:
        self._timer = None
        self._look()
        if self._seen:
            self._timer = asyncio.get_running_loop().call_later(LOOK, self._look_and_go_on)

    def _look(self) -> None:
        now = time.monotonic()
        for connection, seen in list(self._seen.items()):
            self._update(connection, seen)
            if now - seen.since > (EXCHANGE_SECONDS if seen.busy else HEAD_SECONDS):
                self._end(connection, "the request did not end in time" if seen.busy else "no request came in time")

    def _update(self, connection: Any, seen: _Seen) -> None:
        cycle = connection.cycle
        busy = cycle is not None and not cycle.response_complete
        if busy != seen.busy or cycle is not seen.cycle:
            seen.cycle, seen.busy, seen.since, seen.size = cycle, busy, time.monotonic(), 0

    def _end(self, connection: Any, why: str) -> None:
        log.debug("connection ended", why=why)
        self._seen.pop(connection, None)
        if connection.transport.get_write_buffer_size():
            connection.transport.abort()  # closing would wait until its reader has read
        else:
            connection.transport.close()


def install(protocol: Any = AutoHTTPProtocol) -> None:
    """Let every connection of uvicorn be watched; doing it again changes nothing."""
    if hasattr(protocol, "_gatehouse_watch"):
        return
    protocol._gatehouse_watch = watch = Watch(_most())  # noqa: SLF001 - a mark of our own
    made, received, lost = protocol.connection_made, protocol.data_received, protocol.connection_lost

    def connection_made(self: Any, transport: asyncio.Transport) -> None:
        made(self, transport)
        watch.made(self)

    def data_received(self: Any, data: bytes) -> None:
        received(self, data)
        watch.received(self, len(data))

    def connection_lost(self: Any, exc: Exception | None) -> None:
        watch.lost(self)
        lost(self, exc)

    protocol.connection_made, protocol.data_received = connection_made, data_received
    protocol.connection_lost = connection_lost


def _most() -> int:
    """As many connections as half of the file descriptors; Redis, files and the listener need some too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(WANTED_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(8, min(MAX_CONNECTIONS, soft // 2))
