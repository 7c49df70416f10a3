"""Hosts with networks of their own, on one machine: network namespaces that can be cut off and healed. Needs root."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from tests.harness.install import Install
from tests.harness.process import Process

#: Programs that this needs, of the packages iproute2 and nftables.
NEEDS = ("ip", "tc", "nft")
#: What the names of namespaces and of lines begin with, and how many lines there may be at once.
OURS, LINES = "gh", 250
PIECE = 65_536


class NoNamespaces(RuntimeError):
    """Raised where no namespace can be made: a program is missing, which may be installed, or this user may not."""

    def __init__(self, why: str, *, may_be_installed: bool = False) -> None:
        super().__init__(why)
        self.may_be_installed = may_be_installed


class Namespace:
    """A network with one line to this machine: `here` is this end of it, `there` the other one.

    Its name has the process that made it, so that what a killed one leaves is removed by the next.
    """

    def __init__(self, letter: str) -> None:
        if missing := [name for name in NEEDS if shutil.which(name) is None]:
            raise NoNamespaces(f"{', '.join(missing)} is missing: install iproute2 and nftables", may_be_installed=True)
        _remove_abandoned()
        self.name = f"{OURS}{os.getpid()}{letter}"
        _run("ip", "netns", "add", self.name)
        try:
            self._outside = self._draw_line()
            self._inside = f"{self._outside}i"
            _run("ip", "addr", "add", f"{self.here}/30", "dev", self._outside)
            _run("ip", "link", "set", self._outside, "up")
            _run("ip", "-n", self.name, "addr", "add", f"{self.there}/30", "dev", self._inside)
            for device in ("lo", self._inside):
                _run("ip", "-n", self.name, "link", "set", device, "up")
        except NoNamespaces:
            self.close()
            raise

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
        _run(*self.command("nft", rules))

    def heal(self) -> None:
        _run(*self.command("nft", "delete table inet cut"))

    def slow(self, rate: str) -> None:
        """Let so much through in each direction, such as `256kbit`, and let the rest wait."""
        for side in self._ends():
            _run(*side, "root", "tbf", "rate", rate, "burst", "4kb", "latency", "2s")

    def fast(self) -> None:
        """Let everything through again."""
        for side in self._ends("del"):
            _run(*side, "root")

    def close(self) -> None:
        """Remove it; its line goes with it."""
        _remove(self.name)

    def _ends(self, what: str = "add") -> list[list[str]]:
        there = self.command("tc", "qdisc", what, "dev", self._inside)
        return [["tc", "qdisc", what, "dev", self._outside], there]

    def _draw_line(self) -> str:
        """Take the first line that no other process has; its number makes its addresses."""
        first = os.getpid() % LINES
        for number in (*range(first, LINES), *range(first)):
            name = f"{OURS}{number}"
            line = ("ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}i", "netns", self.name)
            try:
                _run(*line)
            except NoNamespaces as error:
                if "exists" not in str(error):
                    raise
                continue
            self.here, self.there = f"10.77.{number}.1", f"10.77.{number}.2"
            return name
        raise NoNamespaces(f"all {LINES} lines are taken; see: ip link")


def _remove_abandoned() -> None:
    """Remove the namespaces of processes that were killed, with all that still runs there."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False).stdout
    for name in (line.split()[0] for line in listed.splitlines() if line.strip()):
        found = re.fullmatch(rf"{OURS}([0-9]+)[a-z]", name)
        if found and not psutil.pid_exists(int(found[1])):
            inside = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False).stdout
            for pid in map(int, inside.split()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            _remove(name)


def _remove(name: str) -> None:
    subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def _run(*command: str) -> None:
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
