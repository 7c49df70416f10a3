"""The requests that left this process: everything that may change something is counted, whichever library sends it.

An exception describes only the last request. Whether an earlier one may have had its effect depends on what was sent:
Python announces each write of `http.client`, on which requests and urllib3 stand, to audit hooks. There too a process
that slept through the end of its lease is kept from sending what another process may be deciding about by now. For
libraries that do not stand on it (httpx, aiohttp, raw sockets, other programs) see gatekeeper/run/sockets.py.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from threading import Lock
from typing import Any

from gatekeeper.errors import LeaseExpired
from gatekeeper.run import sockets
from gatekeeper.run.sockets import Kept
from state.ledger import owner

_REQUEST_LINE = re.compile(rb"([A-Z]+) \S+ HTTP/1\.[01]\r\n")
#: Asking changes nothing.
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Wire:
    """The requests that one attempt sent, and the connections whose requests cannot be counted.

    What a task that it calls sends is its own too.
    """

    def __init__(self, lease_ends_ms: float = math.inf) -> None:
        self.parent: Wire | None = None
        self.sent = 0
        self.lease_ends_ms = lease_ends_ms  #: since boot; the heartbeat moves it on
        self._at_the_beginning: tuple[int, int] | None = None
        self._kept: Kept | None = None

    def begin_effect(self) -> None:
        """Count from now on what is sent for the effect."""
        self._kept = Kept()
        self._at_the_beginning = (self.sent, _elsewhere.sent)

    @property
    def left_ms(self) -> float:
        """Return how many ms a request of the effect may still take; infinite before the effect."""
        return math.inf if self._at_the_beginning is None else self.lease_ends_ms - owner.boot_clock().ms

    @property
    def since_the_line(self) -> int:
        """Return the requests sent since the effect began, including those of threads outside any attempt."""
        own, others = self._at_the_beginning or (0, 0)
        return self.sent - own + _elsewhere.sent - others + (self._kept.sent() if self._kept else 0)


#: Requests of threads that run in no attempt's context.
_elsewhere = Wire()
current: ContextVar[Wire | None] = ContextVar("wire", default=None)
_counting = Lock()


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if event == "http.client.send":
        if not _changes_something(args[1]):
            return
    elif event not in sockets.EVENTS or not sockets.leaves(event, args):
        return
    try:
        check_lease()
    except LeaseExpired:
        if event == "socket.connect":
            args[0].close()  # its owner closes it for an OSError only
        raise
    with _counting:
        for wire in _lineage(current.get() or _elsewhere):
            wire.sent += 1


def check_lease() -> None:
    """Raise LeaseExpired if this is inside an effect whose lease has ended."""
    if any(wire.left_ms <= 0 for wire in _lineage(current.get() or _elsewhere)):
        raise LeaseExpired("this process was held up for longer than its lease, so nothing was sent")


def _changes_something(data: Any) -> bool:
    line = _REQUEST_LINE.match(data) if isinstance(data, bytes | bytearray) else None
    return line is not None and line[1].decode() not in SAFE


def _lineage(wire: Wire | None) -> Iterator[Wire]:
    while wire is not None:
        yield wire
        wire = wire.parent


sys.addaudithook(_hear)
