"""Ways of an effect out of this process without `http.client`: other connections, datagrams, other programs.

Python tells audit hooks when a socket connects, not what is sent over it. So a connection that `http.client` did not
open counts as something that was sent, and so does a connection of that kind that was open when the effect began,
unless the kernel says that nothing went over it since. What libraries in C send is not seen at all; while one of those
is loaded, no error proves that nothing was sent.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from http.client import HTTPConnection
from types import FrameType
from typing import Any

import settings
from server_urls import broker_url, redis_url
from server_urls.amqp_url import AmqpUrl
from server_urls.redis_url import RedisUrl
from state import servers

#: Audit events of what leaves the process in another way than through a connection.
LEAVING = frozenset(
    {
        "socket.sendto", "socket.sendmsg", "subprocess.Popen", "os.system", "os.posix_spawn", "os.spawn", "os.exec",
        "os.fork", "os.forkpty", "pty.spawn", "smtplib.send",
    }
)  # fmt: skip
EVENTS = LEAVING | {"socket.connect"}

#: Modules that connect and send in C, which Python does not announce.
UNSEEN = ("pycurl", "curl_cffi", "grpc", "uvloop")

#: The packages that connect to Redis and to RabbitMQ.
_OF_BROKERS = ("redis.", "amqp.")
_LOOPBACK = "127.0.0.1"

#: Where `struct tcp_info` of Linux has the bytes not yet sent and the bytes sent (since 4.19).
_NOT_SENT, _SENT = 144, 200

#: Connections that `http.client` did not open, by descriptor, with the inode of the socket: a number is used again.
_opened: dict[int, int] = {}


_sends_nothing: ContextVar[bool] = ContextVar("sends nothing", default=False)


@contextmanager
def sends_nothing() -> Iterator[None]:
    """Exempt the programs that are started inside the block: they are ours and send nothing."""
    token = _sends_nothing.set(True)
    try:
        yield
    finally:
        _sends_nothing.reset(token)


def leaves(event: str, args: tuple[Any, ...]) -> bool:
    """Return whether an audit event of EVENTS may carry an effect out that `http.client` does not announce."""
    if event in LEAVING:
        return not _sends_nothing.get()
    if _is_accounted_for():
        return False
    connecting = args[0]
    inode = _inode(connecting.fileno())
    if inode is not None:
        _opened[connecting.fileno()] = inode
    return True


def forget() -> None:
    """Forget every connection that was opened so far, as a process that begins does."""
    _opened.clear()


class Kept:
    """The connections of that kind that are open now; later, whether anything may have been sent over them."""

    def __init__(self) -> None:
        for descriptor, inode in list(_opened.items()):
            if _inode(descriptor) != inode:
                _opened.pop(descriptor, None)
        self._were = [(descriptor, inode, _traffic(descriptor)) for descriptor, inode in list(_opened.items())]

    def sent(self) -> int:
        """Over how many of them something may have been sent since; one for each loaded module of UNSEEN."""
        used = sum(
            traffic is None or _inode(descriptor) != inode or _traffic(descriptor) != traffic
            for descriptor, inode, traffic in self._were
        )
        return used + sum(name in sys.modules for name in UNSEEN)


def _is_accounted_for() -> bool:
    """Return whether the connection is opened by `http.client`, which counts requests, or leads to our own Redis."""
    for frame in _callers():
        caller = frame.f_locals.get("self") if frame.f_code.co_varnames[:1] == ("self",) else None
        if isinstance(caller, HTTPConnection):
            return type(caller).send is HTTPConnection.send
        if str(frame.f_globals.get("__name__", "")).startswith(_OF_BROKERS):
            return is_own(caller)
    return False


def is_own(connection: Any) -> bool:
    """Return whether a connection of the client of Redis or RabbitMQ goes to our Redis or our broker."""
    path, host, port = (getattr(connection, name, None) for name in ("path", "host", "port"))
    chosen = settings.current()
    for ours in (redis_url.read(chosen.redis_url), broker_url.read(chosen.broker_url)):
        own_path = getattr(ours, "path", "")
        if (
            path == own_path
            if own_path
            else (host, port) in _places(ours, getattr(connection, "connection_pool", None))
        ):
            return True
    return False


def _places(ours: RedisUrl | AmqpUrl, pool: Any) -> Sequence[tuple[str, int]]:
    """Return where our server may be; with sentinels that is where they send a connection whose pool asks them."""
    if isinstance(ours, RedisUrl) and ours.nodes:
        return [*ours.nodes, *servers.places()]
    if not isinstance(ours, RedisUrl) or not ours.sentinels:
        also = [(_LOOPBACK, ours.port)] if ours.host == "localhost" else []  # kombu writes it as an address
        return [(ours.host, ours.port), *also]
    manager = getattr(pool, "sentinel_manager", None)
    if manager is None:
        return ours.sentinels
    asked = [one.connection_pool.connection_kwargs for one in manager.sentinels]
    is_ours = pool.service_name == ours.master and {(one["host"], one["port"]) for one in asked} <= {*ours.sentinels}
    return [pool.master_address] if is_ours and pool.master_address else []


def _callers() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the documented way to the callers
    while frame is not None:
        yield frame
        frame = frame.f_back


def _inode(descriptor: int) -> int | None:
    """Return what tells this socket from another one that gets the same number later; None if it is closed."""
    try:
        return os.fstat(descriptor).st_ino
    except OSError:
        return None


def _traffic(descriptor: int) -> tuple[int, int] | None:
    """Return the bytes handed to the kernel for a connection: not yet sent, and sent; None if it cannot tell."""
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return None  # a file got the number meanwhile, and its twin would be left open
        with socket.socket(fileno=os.dup(descriptor)) as twin:
            info = twin.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        return struct.unpack_from("I", info, _NOT_SENT)[0], struct.unpack_from("Q", info, _SENT)[0]
    except (OSError, AttributeError, struct.error):
        return None
