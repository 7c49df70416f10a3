"""One peer's installation: a folder, an environment, a server of its own, and what runs with them."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from bench.peers.peer import ADAPTERS
from deploy.redis_server import find_server
from tests.harness import Install, Process, until
from tests.harness.ports import free_ports

#: The server of every peer: what is written is synced to the disk each second.
DURABLE = ("--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction")


class System:
    """A context manager that starts a server in `folder` and kills everything at the end.

    Args:
        folder: Where all data goes.
        python: The interpreter that has the peer.
        env: What its processes read from the environment besides the settings.

    """

    def __init__(self, folder: Path, python: Path, env: Mapping[str, str]) -> None:
        self._folder, self._python = folder, python
        [self._port] = free_ports(1)
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.install = Install(folder / "peer", self.url, task_modules=[f"{ADAPTERS}.gatehouse"], env=env)
        self.install.shows_processes = (
            True  # a worker is measured in an interpreter of its own, not in a fork of a test's
        )

    def __enter__(self) -> Self:
        place = ["--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        try:
            self.server = self.install.start("server", [str(find_server()), *place, *DURABLE])
            until(lambda: _answers(self._port), what="the Redis server to answer")
        except BaseException:
            self.install.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.install.close()

    def start(self, name: str, command: Sequence[str]) -> Process:
        """Start a Python module with its arguments."""
        return self.install.start(name, self.command(*command))

    def command(self, *module: str) -> list[str]:
        """Return the command line that runs a module with its arguments."""
        return [str(self._python), "-m", *module]


def _answers(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), 1) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(16).startswith(b"+PONG")
