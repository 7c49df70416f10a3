"""A process that asks a peer for keys, as an application would; it stays, so that two of them can ask at once."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.harness import until


class Door:
    """Say a key with `ask`, and read what came of it with `answer`. It ends with `close`."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path) -> None:
        self._said = log.with_suffix(".said")
        with log.open("ab") as errors, self._said.open("wb") as said:
            self._child = subprocess.Popen(
                command, env=dict(env), cwd=cwd, stdin=subprocess.PIPE, stdout=said, stderr=errors, text=True
            )
        self._answers = 0
        self._log = log

    def wait_until_ready(self, deadline: float = 30.0) -> None:
        """Wait until it has loaded the peer."""
        until(lambda: self._lines()[:1] == ["ready"], deadline, f"a door to open; see {self._log}")

    def ask(self, key: str) -> None:
        """Ask for a key, without waiting."""
        if self._child.stdin is None:
            raise RuntimeError("a door has no stdin")
        self._child.stdin.write(f"{key}\n")
        self._child.stdin.flush()
        self._answers += 1

    def answer(self, deadline: float = 40.0) -> str:
        """Return what became of the last key: `called`, or how the peer refused."""
        until(lambda: len(self._lines()) > self._answers, deadline, "a door to answer")
        return self._lines()[self._answers]

    def close(self) -> None:
        """Kill it."""
        self._child.kill()
        self._child.wait(10)
        if self._child.stdin is not None:
            self._child.stdin.close()

    def _lines(self) -> list[str]:
        return self._said.read_text().splitlines()
