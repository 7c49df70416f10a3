"""The output of `make up`: one JSON line per event, or on a terminal readable lines with the name of their process."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from state import terminal

#: Bytes. A longer line is shown in pieces instead of being kept in memory.
MAX_LINE = 64 * 1024

STDOUT = 1


@dataclass(frozen=True)
class Output:
    """Writes to stdout, in the format of LOG_FORMAT."""

    console: bool
    width: int  #: of the longest process name

    def log(self, event: str, level: str = "info", **fields: object) -> None:
        """Write one event of the supervisor."""
        if self.console:
            words = [event, *(f"{name}={value}" for name, value in fields.items())]
            self.show("up", terminal.one_line(" ".join(words)))
            return
        timestamp = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        _write(json.dumps({**fields, "event": event, "level": level, "timestamp": timestamp}, default=str))

    def show(self, name: str, line: str) -> None:
        """Write one line of a process; control characters in it are made visible, so the terminal does not obey them."""
        _write(f"{name:<{self.width}} | {terminal.lines(line)}")


class Lines:
    """The output of one process, split into lines as it arrives.

    Args:
        name: The name of the process.
        descriptor: The read end of the pipe that is its stdout and stderr.
        output: Where to show the lines.

    """

    def __init__(self, name: str, descriptor: int, output: Output) -> None:
        self.name, self.descriptor, self.output = name, descriptor, output
        self._rest = b""

    def relay(self) -> bool:
        """Show what has arrived, at least one byte; return False once the process has closed its end."""
        data = os.read(self.descriptor, MAX_LINE)
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self._rest and (not data or len(self._rest) > MAX_LINE):
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self.output.show(self.name, line.removesuffix(b"\r").decode(errors="replace"))
        return bool(data)


def _write(line: str) -> None:
    # A closed terminal must not keep the supervisor from stopping its processes.
    with suppress(OSError):
        rest = f"{line}\n".encode(errors="replace")
        while rest:
            rest = rest[os.write(STDOUT, rest) :]
