"""The user at the other end of a connection is found for every kind of loopback address, and never guessed."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from web import peers

pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux shows the user of a connection")


@contextmanager
def connected(family: socket.AddressFamily, listen: str, connect: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield our end of a connection and the other end."""
    with socket.socket(family) as listener:
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((listen, 0))
        listener.listen()
        with socket.create_connection((connect, listener.getsockname()[1]), 5) as other:
            ours, _ = listener.accept()
            with ours:
                yield ours, other


@pytest.mark.parametrize(
    ("family", "listen", "connect"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET, "0.0.0.0", "127.0.0.2"),
        (socket.AF_INET6, "::1", "::1"),
        (socket.AF_INET6, "::", "127.0.0.1"),
        (socket.AF_INET6, "::", "::1"),
    ],
)
def test_the_user_of_our_own_process_is_found(family: socket.AddressFamily, listen: str, connect: str) -> None:
    with connected(family, listen, connect) as (ours, _):
        assert peers.peer_uid(ours) == os.getuid()


def test_a_closed_socket_has_no_user() -> None:
    """The kernel shows user 0 for a socket that its process has closed, which would let every user in."""
    with connected(socket.AF_INET, "127.0.0.1", "127.0.0.1") as (ours, other):
        theirs, mine = (f":{end.getsockname()[1]:04X}" for end in (other, ours))
        other.close()

        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()]
        assert [row[7] for row in rows if row[1].endswith(theirs) and row[2].endswith(mine)] == ["0"]
        assert peers.peer_uid(ours) is None


def test_a_socket_without_a_tcp_connection_has_no_user() -> None:
    with socket.socket() as alone:
        assert peers.peer_uid(alone) is None
    ours, other = socket.socketpair()
    assert peers.peer_uid(ours) is None
    ours.close()
    other.close()
