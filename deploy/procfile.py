"""The Procfile: one `name: command` per line, each command one program."""

from __future__ import annotations

import re
from pathlib import Path

LINE = re.compile(r"(?P<name>[A-Za-z0-9_-]+):\s*(?P<command>\S.*)")


class ProcfileError(ValueError):
    """Raised when a Procfile cannot be used; says where and what to write."""


def read(path: Path) -> dict[str, str]:
    """The commands by name, in the order of the file; empty lines and comments do not count."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ProcfileError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ProcfileError(f"{path} is not UTF-8; write lines of `name: command`") from None
    commands: dict[str, str] = {}
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        found = LINE.fullmatch(line)
        if not found or found["name"] in commands:
            raise ProcfileError(f"{path}, line {number}: write `name: command`, each name once")
        commands[found["name"]] = found["command"]
    if not commands:
        raise ProcfileError(f"{path} names no process; write `name: command`")
    return commands
