"""Hosts with networks of their own, on one machine: network namespaces that can be cut off and healed. Needs root."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.harness.install import Install
from tests.harness.process import Process

#: Programs that this needs, of the packages iproute2 and nftables.
NEEDS = ("ip", "nft")
PIECE = 65_536


class NoNamespaces(RuntimeError):
    """Raised where no namespace can be made: a program is missing, which may be installed, or this user may not."""

    def __init__(self, why: str, *, may_be_installed: bool = False) -> None:
        super().__init__(why)
        self.may_be_installed = may_be_installed


class Namespace:
    """A network with one line to this machine: `here` is this end of it, `there` the other one."""

    def __init__(self, letter: str, subnet: int) -> None:
        if missing := [name for name in NEEDS if shutil.which(name) is None]:
            raise NoNamespaces(f"{', '.join(missing)} is missing: install iproute2 and nftables", may_be_installed=True)
        self.name = f"gh{os.getpid() % 100_000}{letter}"
        self.here, self.there = f"10.77.{subnet}.1", f"10.77.{subnet}.2"
        inside = f"{self.name}i"
        self._run("ip", "netns", "add", self.name)
        try:
            self._run("ip", "link", "add", self.name, "type", "veth", "peer", "name", inside, "netns", self.name)
            self._run("ip", "addr", "add", f"{self.here}/30", "dev", self.name)
            self._run("ip", "link", "set", self.name, "up")
            self._run("ip", "-n", self.name, "addr", "add", f"{self.there}/30", "dev", inside)
            for device in ("lo", inside):
                self._run("ip", "-n", self.name, "link", "set", device, "up")
        except NoNamespaces:
            self.close()
            raise
        self._inside = inside

    def command(self, *words: str) -> list[str]:
        """A command that runs there."""
        return ["ip", "netns", "exec", self.name, *words]

    def cut(self) -> None:
        """Let every packet vanish, in both directions; nobody is told."""
        rules = (
            "add table inet cut;"
            "add chain inet cut in { type filter hook input priority 0; };"
            "add chain inet cut out { type filter hook output priority 0; };"
            f"add rule inet cut in iifname {self._inside} drop;"
            f"add rule inet cut out oifname {self._inside} drop"
        )
        self._run(*self.command("nft", rules))

    def heal(self) -> None:
        self._run(*self.command("nft", "delete table inet cut"))

    def close(self) -> None:
        """Remove it; its line goes with it."""
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "delete", self.name], capture_output=True, check=False)

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise NoNamespaces(f"{' '.join(command)}: {done.stderr.strip()}")


class InstallThere(Install):
    """An installation whose processes run in a namespace; its commands run here."""

    def __init__(self, folder: Path, redis_url: str, namespace: Namespace, env: dict[str, str]) -> None:
        super().__init__(folder, redis_url, env=env)
        self._namespace = namespace

    def start(self, name: str, command: Sequence[str]) -> Process:
        return super().start(name, self._namespace.command(*command))


class Relay:
    """A door on one address that leads to a port of this machine's loopback."""

    def __init__(self, address: str, port: int) -> None:
        self._target = port
        self._door = socket.create_server((address, 0))
        self._lines = [self._door]
        self._threads: list[threading.Thread] = []
        self.port = int(self._door.getsockname()[1])
        self._start(self._accept)

    def close(self) -> None:
        """End every line, and wait until nothing carries any more."""
        for line in self._lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for line in self._lines:
            line.close()

    def _start(self, work: Callable[..., None], *args: socket.socket) -> None:
        self._threads.append(threading.Thread(target=work, args=args, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._door.accept()
                target = socket.create_connection(("127.0.0.1", self._target))
                self._lines += [client, target]
                self._start(_carry, client, target)
                self._start(_carry, target, client)


def _carry(source: socket.socket, sink: socket.socket) -> None:
    """Hand on what comes; let both ends see when one of them ends or breaks."""
    with contextlib.suppress(OSError):
        while piece := source.recv(PIECE):
            sink.sendall(piece)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
