"""Apply one deadline to a whole exchange: name resolution, connection, request and response.

A socket timeout starts anew with each received byte and with each address of a name, so a server that sends a byte now
and then, or a name with many silent addresses, could block a worker for ever.
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

from clients.http.public_only import check_public
from state import dial

#: Bytes of status line and headers. Python allows a hundred lines of 64 kB each; ordinary servers send about 2 kB.
MAX_HEAD = 128 * 1024
#: Responses that announce the real one. Python itself skips 100 only, and takes 103 Early Hints as the answer.
INTERIM = frozenset(range(100, 200)) - {101}
#: Seconds; a socket timeout of 0 would mean non-blocking.
MIN_TIMEOUT = 0.001


class BoundedAdapter(HTTPAdapter):
    """A transport adapter whose exchanges must end before `deadline`, a value of `time.monotonic()`.

    With `public_only` it connects to public addresses only. It checks the peer of the open connection: a name resolved
    beforehand could resolve differently the second time.
    """

    def __init__(self, deadline: float, *, public_only: bool = False) -> None:
        super().__init__()
        self._deadline, self._public_only = deadline, public_only

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        """Return the connection pool that `requests` would use, with bounded connections and responses."""
        pool: Any = super().get_connection_with_tls_context(*args, **options)
        response = staticmethod(partial(_BoundedResponse, deadline=self._deadline))
        own = {"response_class": response, "deadline": self._deadline, "public_only": self._public_only}
        pool.ConnectionCls = type("BoundedConnection", (_BoundedConnect, pool.ConnectionCls), own)
        return pool


class _BoundedConnect:
    """A mix-in for urllib3's connections: name resolution and all addresses share one deadline."""

    deadline: float
    public_only: bool
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
        if self.public_only:
            check_public(connected)
        sys.audit("http.client.connect", self, self.host, self.port)
        connected.settimeout(max(self.deadline - time.monotonic(), MIN_TIMEOUT))
        return connected


class _BoundedResponse(HTTPResponse):
    """A response that is read through a `_BoundedReader`, and whose cookies are dropped."""

    def __init__(self, sock: socket.socket, *args: Any, deadline: float, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self._bounded = _BoundedReader(self.fp.detach(), sock, deadline)
        self.fp = BufferedReader(self._bounded)

    def begin(self) -> None:
        """Read the status line and the headers, at most MAX_HEAD bytes together with the interim responses before them."""
        self._bounded.allowed = MAX_HEAD
        super().begin()
        while self.status in INTERIM:
            self.headers = self.msg = None  # type: ignore[assignment]  # begin() reads the next ones only then
            super().begin()
        self._bounded.allowed = None
        for header in ("Set-Cookie", "Set-Cookie2"):  # the cookie parser takes quadratic time
            del self.msg[header]


class _BoundedReader(RawIOBase):
    """Reads from a socket until the deadline, then raises TimeoutError."""

    def __init__(self, inner: RawIOBase, sock: socket.socket, deadline: float) -> None:
        self._inner, self._sock, self._deadline = inner, sock, deadline
        self.allowed: int | None = None  #: how many more bytes may be read; None for no limit

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
