"""TCP connections that open within one deadline, however long a name takes to resolve and however many addresses are silent.

`socket.create_connection` applies its timeout to each address in turn, and the look-up of the name has no timeout.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from errno import EINPROGRESS
from typing import Any, Self

#: Seconds until the next address is tried beside one that has not answered (RFC 8305 recommends 0.25).
STAGGER = 0.25
#: Addresses of one name that are tried.
MAX_ADDRESSES = 16
#: Concurrent look-ups; each is a thread that a silent name server blocks for half a minute.
MAX_LOOK_UPS = 32

Address = tuple[int, int, int, str, Any]

_looking_up = threading.BoundedSemaphore(MAX_LOOK_UPS)


def connect(host: str, port: int, seconds: float, options: Sequence[tuple[Any, ...]] = ()) -> socket.socket:
    """Connect to the first address that answers, within `seconds` in all, and return a blocking socket.

    Args:
        host: A name or an address.
        port: The port.
        seconds: How long the look-up and all attempts together may take.
        options: Arguments of `setsockopt`, set before connecting.

    Raises:
        socket.gaierror: the name is unknown, or was not resolved in time.
        TimeoutError: no address answered in time.
        OSError: every address refused; the last refusal.

    """
    deadline = time.monotonic() + seconds
    addresses = resolve(host, port, seconds)[:MAX_ADDRESSES]
    with _Race(options) as race:
        return race.run(addresses, deadline)


def resolve(host: str, port: int, seconds: float) -> Sequence[Address]:
    """Return every address of a name; raise socket.gaierror if it is unknown or not resolved within `seconds`."""
    bare = host.removeprefix("[").removesuffix("]")
    with suppress(socket.gaierror):
        return socket.getaddrinfo(bare, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    return _look_up(bare, port, seconds)


def _look_up(host: str, port: int, seconds: float) -> Sequence[Address]:
    """Look a name up in a thread of its own, because the resolver has no timeout; a late thread is abandoned."""
    if not _looking_up.acquire(timeout=seconds):
        raise socket.gaierror(socket.EAI_AGAIN, f"{MAX_LOOK_UPS} look-ups of names are under way; retry later")
    found: Future[Sequence[Address]] = Future()

    def ask() -> None:
        try:
            found.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.set_exception(error)
        finally:
            _looking_up.release()

    threading.Thread(target=ask, name="look-up", daemon=True).start()
    try:
        return found.result(seconds)
    except TimeoutError:
        raise socket.gaierror(socket.EAI_AGAIN, "the name was not resolved in time") from None


class _Race:
    """Connection attempts to several addresses; the first to succeed is kept and the others are closed."""

    def __init__(self, options: Sequence[tuple[Any, ...]]) -> None:
        self._options = options
        self._selector = selectors.DefaultSelector()
        self._error: OSError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()

    def run(self, addresses: Sequence[Address], deadline: float) -> socket.socket:
        """Return the first connection that opens; raise TimeoutError or the last OSError."""
        waiting = list(addresses)
        while waiting or self._selector.get_map():
            if waiting:
                self._start(waiting.pop(0))
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no address answered in time")
            connected = self._first_ready(min(left, STAGGER) if waiting else left)
            if connected is not None:
                connected.setblocking(True)
                return connected
        raise self._error or OSError("the name has no address")

    def _start(self, address: Address) -> None:
        family, kind, protocol, _, where = address
        try:
            attempt = socket.socket(family, kind, protocol)
        except OSError as error:  # this machine has no IPv6
            self._error = error
            return
        try:
            for option in self._options:
                attempt.setsockopt(*option)
            attempt.setblocking(False)
            code = attempt.connect_ex(where)
            if code not in {0, EINPROGRESS}:
                raise OSError(code, os.strerror(code))
        except OSError as error:
            self._error = error
            attempt.close()
        else:
            self._selector.register(attempt, selectors.EVENT_WRITE)

    def _first_ready(self, seconds: float) -> socket.socket | None:
        """Wait for an address that answers; return None after a refusal, so that the next address starts at once."""
        if not self._selector.get_map():
            return None
        for key, _ in self._selector.select(seconds):
            attempt = key.fileobj
            if not isinstance(attempt, socket.socket):
                continue
            self._selector.unregister(attempt)
            code = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0:
                return attempt
            attempt.close()
            self._error = OSError(code, os.strerror(code))
        return None
