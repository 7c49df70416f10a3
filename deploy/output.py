"""What a terminal or a log shows: one JSON line per event, or readable lines under the name of their process."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from state import terminal

#: A line without an end is shown in pieces of this size rather than kept for ever.
MAX_LINE = 64 * 1024

STDOUT = 1


@dataclass(frozen=True)
class Output:
    """One log on stdout, in the format that LOG_FORMAT names."""

    console: bool
    width: int  #: of the longest process name

    def say(self, event: str, level: str = "info", **facts: object) -> None:
        if self.console:
            words = [event, *(f"{name}={value}" for name, value in facts.items())]
            self.show("up", terminal.one_line(" ".join(words)))
            return
        timestamp = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        _write(json.dumps({**facts, "event": event, "level": level, "timestamp": timestamp}, default=str))

    def show(self, name: str, line: str) -> None:
        """One line, which may be somebody else's words: nothing in it is obeyed by the terminal."""
        _write(f"{name:<{self.width}} | {terminal.lines(line)}")


class Lines:
    """The output of one process, cut into lines as it arrives."""

    def __init__(self, name: str, descriptor: int, output: Output) -> None:
        self.name, self.descriptor, self.output = name, descriptor, output
        self._rest = b""

    def pass_on(self) -> bool:
        """Show what has arrived; False once the process has closed its end."""
        arrived = os.read(self.descriptor, MAX_LINE)
        *lines, self._rest = (self._rest + arrived).split(b"\n")
        if self._rest and (not arrived or len(self._rest) > MAX_LINE):
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self.output.show(self.name, line.removesuffix(b"\r").decode(errors="replace"))
        return bool(arrived)


def _write(line: str) -> None:
    # A closed terminal must not keep the supervisor from stopping what it started.
    with suppress(OSError):
        rest = f"{line}\n".encode(errors="replace")
        while rest:
            rest = rest[os.write(STDOUT, rest) :]
