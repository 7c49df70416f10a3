"""A deadline for a whole answer: its status line, headers and body together, however slowly they drip.

The timeout of a socket begins again with every byte, so a server that sends one now and then could hold a worker for ever.
"""

from __future__ import annotations

import time
from functools import partial
from http.client import HTTPResponse
from io import BufferedReader, RawIOBase
from socket import socket
from typing import Any, cast

from requests.adapters import HTTPAdapter


class BoundedAdapter(HTTPAdapter):
    """Sends requests whose answers must have ended at `deadline`, a time of `time.monotonic()`."""

    def __init__(self, deadline: float) -> None:
        super().__init__()
        self._deadline = deadline

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        """The pool of connections that requests would take, with our way of reading answers."""
        pool: Any = super().get_connection_with_tls_context(*args, **options)
        answer = staticmethod(partial(_Answer, deadline=self._deadline))
        pool.ConnectionCls = type("BoundedConnection", (pool.ConnectionCls,), {"response_class": answer})
        return pool


class _Answer(HTTPResponse):
    """An answer that is read through `_Bounded`."""

    def __init__(self, sock: socket, *args: Any, deadline: float, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = BufferedReader(_Bounded(self.fp.detach(), sock, deadline))


class _Bounded(RawIOBase):
    """The bytes of a socket, until the deadline; raises TimeoutError then."""

    def __init__(self, inner: RawIOBase, sock: socket, deadline: float) -> None:
        self._inner, self._sock, self._deadline = inner, sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer did not end in time")
        self._sock.settimeout(left)
        return cast("int | None", self._inner.readinto(buffer))

    def close(self) -> None:
        self._inner.close()
        super().close()
