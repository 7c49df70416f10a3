"""What really left this process: every HTTP request that behind the line goes out is seen here, whoever sends it.

An exception tells only of the last request. Whether an earlier one may have had its effect is decided by what was sent:
Python announces each write of `http.client`, on which requests and urllib3 stand, to audit hooks.
"""

from __future__ import annotations

import re
import sys
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

_REQUEST_LINE = re.compile(rb"([A-Z]+) \S+ HTTP/1\.[01]\r\n")
#: Asking changes nothing.
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass
class Wire:
    """The methods of the requests that went out since the line was crossed."""

    sent: list[str] = field(default_factory=list)
    before: int = field(default_factory=lambda: len(_elsewhere))

    @property
    def unsafe(self) -> int:
        """How many of them may have changed something; those of threads that belong to no attempt count too."""
        return sum(method not in SAFE for method in (*self.sent, *_elsewhere[self.before :]))


#: Requests of threads that run in no attempt's context. They may belong to any line that is open.
_elsewhere: list[str] = []
current: ContextVar[Wire | None] = ContextVar("wire", default=None)


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if event != "http.client.send" or not isinstance(args[1], bytes | bytearray):
        return
    line = _REQUEST_LINE.match(args[1])
    if line:
        wire = current.get()
        (_elsewhere if wire is None else wire.sent).append(line[1].decode())


sys.addaudithook(_hear)
