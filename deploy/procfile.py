"""Read the Procfile: one `name: command` per line, each command one program."""

from __future__ import annotations

import re
from pathlib import Path

LINE = re.compile(r"(?P<name>[A-Za-z0-9_-]+):\s*(?P<command>\S.*)")


class ProcfileError(ValueError):
    """Raised when a Procfile cannot be used; says where, and what to write."""


def read(path: Path) -> dict[str, str]:
    """Return the commands by name, in the order of the file; ignore empty lines and comments.

    Raises:
        ProcfileError: If the file cannot be read, has a line of another form, or names no process.

    """
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
        match = LINE.fullmatch(line)
        if not match or match["name"] in commands:
            raise ProcfileError(f"{path}, line {number}: write `name: command`, each name once")
        commands[match["name"]] = match["command"]
    if not commands:
        raise ProcfileError(f"{path} names no process; write `name: command`")
    return commands
