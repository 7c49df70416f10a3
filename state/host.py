"""The name of this host, and the host in the name of an owner.

A host is one STATE_DIR on one machine: its folder of lock files is what can prove that a process died. Two installations
on one machine, or two machines of one name, are two hosts, so the name ends in a mark that was drawn once and is kept in
the folder of the lock files: `web1.3f2a9c`. An owner's name is `HOST-PID-RANDOM/N`; owners of earlier versions have the
machine's name alone there, without a mark.
"""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import settings
from state import private
from state.files import FILE, UNFINISHED

#: In STATE_DIR/run, beside the folder of the lock files.
NAME_FILE = "host"
#: Characters of a machine's name that a host's name has.
MAX_NAME = 40

_WHOLE = re.compile(r"[A-Za-z0-9_-]{1,63}\.[0-9a-f]{6}")


class UnusableHostName(settings.SettingsError):
    """Raised when the file with this host's name holds something else; the message says what to do."""


def this_host() -> str:
    """Return the name of this host.

    Raises:
        UnusableHostName: The file of the name holds something else.
        OSError: The file cannot be written or read.

    """
    chosen = settings.current()
    return _named(chosen.run_dir / NAME_FILE, chosen.host_name)


def mark() -> str:
    """Return the mark of this host; "" if its file cannot be written, which is reported where it does harm."""
    try:
        return mark_of(this_host())
    except OSError:
        return ""


def check_at_start() -> None:
    """Exit with one sentence if the file with this host's name holds something else."""
    try:
        mark()
    except UnusableHostName as error:
        raise SystemExit(f"gatehouse: {error}") from None


def mark_of(host: str) -> str:
    """Return what tells a host from all others: the mark of its name, or the name of a machine of an earlier version."""
    return host.rpartition(".")[2]


def host_of(owner: str) -> str:
    """Return the host of an owner; "" for a name that has none."""
    parts = owner.partition("/")[0].rsplit("-", 2)
    return parts[0] if len(parts) == 3 and parts[1].isdecimal() else ""  # noqa: PLR2004 - host, pid and a random part


@lru_cache(maxsize=8)
def _named(file: Path, given: str) -> str:
    """Return the name in the file, which is made if it is missing; HOST_NAME takes the place of all but the mark."""
    if not file.exists():
        _create(file)
    found = file.read_text(errors="replace").strip()
    if not _WHOLE.fullmatch(found):
        raise UnusableHostName(f"{file} does not hold the name of this host; remove it, and a new one is made")
    name, _, mark = found.rpartition(".")
    return f"{given or name}.{mark}"


def _create(file: Path) -> None:
    """Write the file whole; of several processes that start at once, all take the name of the first."""
    private.folder(file.parent)
    machine = re.sub(r"[^A-Za-z0-9_-]", "-", os.uname().nodename.partition(".")[0])[:MAX_NAME] or "host"
    unfinished = file.with_name(f".{file.name}.{secrets.token_hex(4)}{UNFINISHED}")
    descriptor = os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, FILE)
    with os.fdopen(descriptor, "w") as written:
        written.write(f"{machine}.{secrets.token_hex(3)}\n")
    try:
        with suppress(FileExistsError):
            os.link(unfinished, file)
    finally:
        unfinished.unlink(missing_ok=True)
