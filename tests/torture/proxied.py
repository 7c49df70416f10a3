"""A proxy as the scenarios hold it."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.harness import Process, patient, until
from tests.harness.install import ROOT


class Proxied:
    """A running proxy in front of `target`; `port` is where clients connect."""

    def __init__(self, name: str, target: str, folder: Path, seed: int) -> None:
        port_file = folder / f"{name}.ports"
        command = [sys.executable, "-m", "tests.torture.proxy", "--target", target, "--seed", str(seed)]
        environment = {"PYTHONPATH": str(ROOT)}
        self._process = Process(
            name, [*command, "--port-file", str(port_file)], environment, ROOT, folder / f"{name}.log"
        )
        until(port_file.exists, what=f"the proxy {name} to listen")
        self.port, control = json.loads(port_file.read_text())
        self._control = socket.create_connection(("127.0.0.1", control), timeout=patient(10))
        self._answers = self._control.makefile("r")

    def order(self, **orders: Any) -> None:
        """Change standing orders: up, down, delay, lose, lose_share, reset_after, deliver."""
        self._say({"set": orders})

    @contextmanager
    def while_ordered(self, **orders: Any) -> Iterator[None]:
        """Standing orders for the length of a block."""
        ordinary = {"up": "pass", "down": "pass", "delay": 0.0, "lose": 0, "lose_share": 0.0, "reset_after": None}
        self.order(**orders)
        try:
            yield
        finally:
            self.order(**{name: ordinary[name] for name in orders})

    def cut(self, whom: str = "both") -> None:
        """Reset every connection; with "client" the target keeps its end."""
        self._say({"cut": whom})

    def keep(self, *, kept: bool) -> None:
        """What the connections of now sent is kept until they are let go."""
        self._say({"keep": kept})

    def half_close(self) -> None:
        self._say({"half_close": True})

    def listen(self, *, listening: bool) -> None:
        self._say({"listen": listening})

    def retarget(self, target: str) -> None:
        """New connections lead elsewhere, and the standing ones are reset."""
        self._say({"target": target, "cut": "both"})

    @property
    def held(self) -> int:
        """How many bytes are being kept."""
        return self._say({})["held"]

    @property
    def lost(self) -> int:
        """How many answers were lost so far."""
        return self._say({})["lost"]

    def close(self) -> None:
        self._answers.close()
        self._control.close()
        self._process.kill9()

    def _say(self, order: dict[str, Any]) -> dict[str, int]:
        self._control.sendall(json.dumps(order).encode() + b"\n")
        line = self._answers.readline()
        if not line:
            raise AssertionError(f"the proxy {self._process.name} ended:\n{self._process.output}")
        told: dict[str, int] = json.loads(line)
        return told
