"""What really left this process: every HTTP request that may change something is counted, whoever sends it.

An exception tells only of the last request. Whether an earlier one may have had its effect is decided by what was sent:
Python announces each write of `http.client`, on which requests and urllib3 stand, to audit hooks.
"""

from __future__ import annotations

import re
import sys
from contextvars import ContextVar
from threading import Lock
from typing import Any

_REQUEST_LINE = re.compile(rb"([A-Z]+) \S+ HTTP/1\.[01]\r\n")
#: Asking changes nothing.
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Wire:
    """The requests of one attempt; those of a task that it calls are its own too."""

    def __init__(self) -> None:
        self.parent: Wire | None = None
        self.sent = 0
        self._at_the_line = (0, 0)

    def cross(self) -> None:
        """The line is crossed now."""
        self._at_the_line = (self.sent, _elsewhere.sent)

    @property
    def since_the_line(self) -> int:
        """How many were sent behind the line; those of threads that belong to no attempt may be among them, so they count."""
        own, others = self._at_the_line
        return self.sent - own + _elsewhere.sent - others


#: Requests of threads that run in no attempt's context.
_elsewhere = Wire()
current: ContextVar[Wire | None] = ContextVar("wire", default=None)
_counting = Lock()


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if event != "http.client.send" or not isinstance(args[1], bytes | bytearray):
        return
    line = _REQUEST_LINE.match(args[1])
    if line is None or line[1].decode() in SAFE:
        return
    wire: Wire | None = current.get() or _elsewhere
    with _counting:
        while wire is not None:
            wire.sent += 1
            wire = wire.parent


sys.addaudithook(_hear)
