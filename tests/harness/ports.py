"""Ports of this machine for the servers of tests. No two processes that run tests give out the same one."""

from __future__ import annotations

import os
import socket
from itertools import cycle
from pathlib import Path

#: The first port that is given out; those below are of services.
FIRST = 10_000
#: Ports of one process, which come again when all were given out.
BLOCK = 500


class _Block:
    """The ports of one process, below those that the kernel takes for connections.

    A name of an abstract socket keeps the block: the kernel forgets it when the process dies, however it does.
    """

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._kept = socket.socket(socket.AF_UNIX)
        self._ports = cycle(self._reserved())

    def _reserved(self) -> range:
        last = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        for first in range(FIRST, last - BLOCK, BLOCK):
            try:
                self._kept.bind(f"\0gatehouse-tests-{first}")
            except OSError:  # another process has it
                continue
            return range(first, first + BLOCK)
        raise RuntimeError(f"every block of {BLOCK} ports between {FIRST} and {last} belongs to a process: end one")

    def next(self) -> int:
        """Return the next port that nobody listens on."""
        for _, port in zip(range(BLOCK), self._ports, strict=False):
            try:
                socket.create_server(("127.0.0.1", port)).close()
            except OSError:
                continue
            return port
        raise RuntimeError(f"a server listens on each of the {BLOCK} ports of this process")


_blocks: list[_Block] = []


def free_ports(n: int) -> list[int]:
    """Return ports that nobody listens on now, all different."""
    if not _blocks or _blocks[-1].owner != os.getpid():  # none yet, or this process is a fork
        _blocks.append(_Block())
    return [_blocks[-1].next() for _ in range(n)]
