"""One process under test, with its output and the ways to hurt it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.harness import forks
from tests.harness.polling import GaveUp, patient, until


class Process:
    """A child in a session of its own. Signals other than SIGTERM go to it and all its children."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        log: Path,
        *,
        may_fork: bool = True,
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            streams = forks.Streams(output.fileno(), output.fileno())
            self._child = forks.start(command, env, cwd, streams, new_session=True, may_fork=may_fork)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def alive(self) -> bool:
        return self._child.poll() is None

    @property
    def returncode(self) -> int | None:
        return self._child.poll()

    @property
    def output(self) -> str:
        """All that the process and its children wrote, stdout and stderr."""
        return self.log.read_text(errors="replace")

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON log lines among the output."""
        return [line for text in self.output.splitlines() if (line := _json_line(text)) is not None]

    def events(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one event."""
        return [line for line in self.lines if line.get("event") == event]

    def wait_for(self, event: str, deadline: float = 20.0) -> dict[str, Any]:
        """Wait for the first log line of an event; a process that ends before it fails at once."""

        def appeared() -> dict[str, Any] | None:
            running = self.alive
            found = self.events(event)
            if not found and not running:
                raise GaveUp(f"{self.name} ended with {self.returncode} before it logged {event!r}")
            return found[0] if found else None

        try:
            return until(appeared, deadline, f"{self.name} to log {event!r}")
        except GaveUp as error:
            raise GaveUp(f"{error}\n{self.output[-4000:]}") from None

    def ask_to_stop(self) -> None:
        """Send SIGTERM, as a supervisor would, and do not wait."""
        self._child.send_signal(signal.SIGTERM)

    def terminate(self, deadline: float = 15.0) -> int:
        """Ask the process to stop, as a supervisor would, and wait for it."""
        self.ask_to_stop()
        return self.wait(deadline)

    def kill9(self) -> None:
        """End the process and its children with no chance to say anything."""
        self._signal(signal.SIGKILL)
        self.wait()

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def wait(self, deadline: float = 10.0) -> int:
        """Wait for the process to end and return its exit code."""
        try:
            return self._child.wait(patient(deadline))
        except subprocess.TimeoutExpired:
            raise GaveUp(f"{self.name} did not end within {patient(deadline):g} s:\n{self.output[-4000:]}") from None

    def _signal(self, sign: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):  # nobody of the group may be left
            os.killpg(self.pid, sign)


def _json_line(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
