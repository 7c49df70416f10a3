"""Whose process is at the other end: told for every kind of loopback address, and never guessed."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from web import peers

pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux tells whose a connection is")


@contextmanager
def connected(family: socket.AddressFamily, listen: str, connect: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end and the other one."""
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
def test_a_process_of_ours_is_known(family: socket.AddressFamily, listen: str, connect: str) -> None:
    with connected(family, listen, connect) as (ours, _):
        assert peers.user_of(ours) == os.getuid()


def test_of_who_hung_up_nothing_is_known() -> None:
    """The kernel says user 0 of a socket that its process has closed, and so would let everybody in."""
    with connected(socket.AF_INET, "127.0.0.1", "127.0.0.1") as (ours, other):
        theirs, mine = (f":{end.getsockname()[1]:04X}" for end in (other, ours))
        other.close()

        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()]
        assert [row[7] for row in rows if row[1].endswith(theirs) and row[2].endswith(mine)] == ["0"]
        assert peers.user_of(ours) is None


def test_of_no_connection_nothing_is_known() -> None:
    with socket.socket() as alone:
        assert peers.user_of(alone) is None
    ours, other = socket.socketpair()
    assert peers.user_of(ours) is None
    ours.close()
    other.close()
