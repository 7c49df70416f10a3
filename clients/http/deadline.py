"""A deadline for a whole exchange: the look-up, the connection, the request, and the answer, however slowly they drip.

The timeout of a socket begins again with every byte, so a server that sends one now and then could hold a worker for ever;
and it begins again with every address of a name, so a name with many silent ones could too.
"""

from __future__ import annotations

import socket
import sys
import time
from functools import partial
from http.client import HTTPException, HTTPResponse
from io import BufferedReader, RawIOBase
from typing import Any, cast

from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from state import dial

#: Bytes of status line and headers. Python allows a hundred lines of 64 kB each; honest servers send some 2 kB.
MAX_HEAD = 128 * 1024
#: Seconds; a socket's timeout must not be 0, which means "do not wait at all".
MIN_TIMEOUT = 0.001


class BoundedAdapter(HTTPAdapter):
    """Sends requests whose answers must have ended at `deadline`, a time of `time.monotonic()`."""

    def __init__(self, deadline: float) -> None:
        super().__init__()
        self._deadline = deadline

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        """The pool of connections that requests would take, with our way of connecting and of reading answers."""
        pool: Any = super().get_connection_with_tls_context(*args, **options)
        answer = staticmethod(partial(_Answer, deadline=self._deadline))
        own = {"response_class": answer, "deadline": self._deadline}
        pool.ConnectionCls = type("BoundedConnection", (_Dialled, pool.ConnectionCls), own)
        return pool


class _Dialled:
    """Stands before a connection class of urllib3: one time for all addresses of a name, and for the look-up."""

    deadline: float
    host: str
    _dns_host: str
    port: int
    socket_options: list[tuple[Any, ...]] | None

    def _new_conn(self) -> socket.socket:
        left = max(self.deadline - time.monotonic(), MIN_TIMEOUT)
        this: Any = self
        try:
            connected = dial.connect(self._dns_host, self.port, left, self.socket_options or ())
        except socket.gaierror as error:
            raise NameResolutionError(self.host, this, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(this, f"Connection to {self.host} timed out") from error
        except (OSError, UnicodeError) as error:
            raise NewConnectionError(this, f"Failed to establish a new connection: {error}") from error
        sys.audit("http.client.connect", self, self.host, self.port)
        connected.settimeout(max(self.deadline - time.monotonic(), MIN_TIMEOUT))
        return connected


class _Answer(HTTPResponse):
    """An answer that is read through `_Bounded`, and whose cookies nobody parses."""

    def __init__(self, sock: socket.socket, *args: Any, deadline: float, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self._bounded = _Bounded(self.fp.detach(), sock, deadline)
        self.fp = BufferedReader(self._bounded)

    def begin(self) -> None:
        """Read status line and headers, so many bytes at the most."""
        self._bounded.allowed = MAX_HEAD
        super().begin()
        self._bounded.allowed = None
        for unread in ("Set-Cookie", "Set-Cookie2"):  # their parser takes time by the square of the length
            del self.msg[unread]


class _Bounded(RawIOBase):
    """The bytes of a socket, until the deadline; raises TimeoutError then."""

    def __init__(self, inner: RawIOBase, sock: socket.socket, deadline: float) -> None:
        self._inner, self._sock, self._deadline = inner, sock, deadline
        self.allowed: int | None = None  #: how many bytes may still come; None for any number

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer did not end in time")
        if self.allowed is not None and self.allowed <= 0:
            raise HTTPException(f"the answer's headers are longer than {MAX_HEAD} bytes")
        self._sock.settimeout(left)
        count = cast("int | None", self._inner.readinto(buffer))
        if self.allowed is not None:
            self.allowed -= count or 0
        return count

    def close(self) -> None:
        self._inner.close()
        super().close()
