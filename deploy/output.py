"""The output of `make up`: one JSON line per event, or on a terminal one short line and the JSON lines in a file."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from deploy import short_lines
from deploy.log_file import LogFile
from state import terminal

#: Bytes. A longer line is shown in pieces instead of being kept in memory.
MAX_LINE = 64 * 1024

STDOUT = 1

#: The SGR codes of a terminal by level, and of the time.
_COLOURS = {"warning": "33", "error": "31", "critical": "1;31", "good": "32", "quiet": "2"}
_GOOD = frozenset({"done", "published", "recovered"})
#: Lines of other programs that say nothing new while all is being stopped, and the time that Redis puts before a line.
_CHATTER = re.compile(r"worker: (?:Hitting|Warm|Cold)|.*(?:signal-handler|ready to exit, bye)|\s*$")
_REDIS_PREFIX = re.compile(r"^\d+:[A-Z] [^*#.-]*\.\d+ [*#.-] ")


class Output:
    """Writes JSON lines to stdout. The processes write theirs there themselves."""

    def log(self, event: str, level: str = "info", **fields: object) -> None:
        """Write one event of the supervisor."""
        timestamp = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        self._record("up", {**fields, "event": event, "level": level, "timestamp": timestamp})

    def _record(self, process: str, record: Mapping[str, Any]) -> None:  # noqa: ARG002 - a terminal shows the process
        _write(json.dumps(record, default=str))


class TerminalOutput(Output):
    """Writes short lines for a person to stdout, and the JSON lines of all processes to a file.

    Args:
        names: Of the processes.
        file: Takes every line as its process wrote it.
        colour: Whether to use colours.

    """

    def __init__(self, names: list[str], file: LogFile, *, colour: bool) -> None:
        self._width = max(9, *map(len, names))
        self._colour = colour
        self._published: set[str] = set()  # keys whose end needs no line of its own
        self._is_kept = True
        self.file = file
        self._waits_for = {f"{name} ready" for name in names if name in {"worker", "beat"}}
        self._shown_at = time.monotonic()

    @property
    def quiet_seconds(self) -> float:
        """Seconds since the last line; 0 as long as a worker or beat has not begun its work."""
        return 0.0 if self._waits_for else time.monotonic() - self._shown_at

    def show(self, name: str, line: str) -> None:
        """Show one line of a process; control characters in it are made visible, so the terminal does not obey them."""
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict) and isinstance(record.get("event"), str):
            self._record(name, record, line)
            return
        self._keep(json.dumps({"event": "output", "process": name, "line": line}))
        if not _CHATTER.match(line):
            words = terminal.lines(_REDIS_PREFIX.sub("", line))
            self._write_line(short_lines.time_of({}), name, self._cut(words) if words.startswith("WARNING") else words)

    def say(self, text: str) -> None:
        """Show a line of the supervisor's own as it is."""
        _write(terminal.lines(text))

    def _record(self, process: str, record: Mapping[str, Any], line: str = "") -> None:
        self._keep(line or json.dumps(record, default=str))
        event, key, level = record["event"], record.get("key"), str(record.get("level"))
        self._waits_for.discard(event)
        if event == "published" and isinstance(key, str):
            self._published.add(key)
        elif event == "done" and key in self._published and level == "info":
            self._published.discard(str(key))
            return
        words = short_lines.describe(record)
        if not words:
            return
        if level in {"info", "debug"} and event not in short_lines.VERBS and event != "published":
            words = self._cut(words)
        name = terminal.one_line(record.get("agent") or process)
        self._write_line(short_lines.time_of(record), name, words, "good" if event in _GOOD else level)

    def _write_line(self, at: datetime, name: str, words: str, level: str = "") -> None:
        self._shown_at = time.monotonic()
        first, *rest = words.split("\n")
        indent = " " * (len("12:34:56  ") + self._width + 2)
        time_text = self._paint(f"{at:%H:%M:%S}", "quiet")
        _write(
            "\n".join(
                [f"{time_text}  {name:<{self._width}}  {self._paint(first, level)}", *(indent + text for text in rest)]
            )
        )

    def _cut(self, words: str) -> str:
        """Cut words to the rest of the terminal's line."""
        width = shutil.get_terminal_size().columns - self._width - len("12:34:56    ")
        return words if len(words) <= width else f"{words[: width - 1]}…"

    def _paint(self, text: str, level: str) -> str:
        code = _COLOURS.get(level) if self._colour else None
        return f"\x1b[{code}m{text}\x1b[0m" if code else text

    def _keep(self, line: str) -> None:
        """Add a line to the log file; say once that the disk refuses, and once that it does not any more."""
        try:
            self.file.append(line)
        except OSError as error:
            if self._is_kept:
                _write(
                    self._paint(f"{self.file.path} cannot be written: {error.strerror}; lines are only shown", "error")
                )
            self._is_kept = False
        else:
            self._is_kept = True


class Lines:
    """The output of one process, split into lines as it arrives.

    Args:
        name: The name of the process.
        descriptor: The read end of the pipe that is its stdout and stderr.
        output: Where to show the lines.

    """

    def __init__(self, name: str, descriptor: int, output: TerminalOutput) -> None:
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
