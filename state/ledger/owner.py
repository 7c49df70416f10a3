"""The owner of a claim: one process, with a lock file that the kernel frees when the process dies.

An owner's name is `PROCESS/N`: the process's lock file, and a number for each attempt it makes. `PROCESS` begins with
the name of its host (`state/host.py`), because a lock file proves a death on its own host only.
"""

from __future__ import annotations

import itertools
import os
import secrets
import threading
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import settings
from state import host, private
from state.files import is_locked, open_locked


class _Process:
    """The lock this process holds for as long as it lives."""

    def __init__(self) -> None:
        self.name = f"{host.this_host()}-{os.getpid()}-{secrets.token_hex(4)}"
        for each in (settings.current().run_dir, folder()):
            private.folder(each)
        self.lock = open_locked(_file(self.name), wait=0)
        self.numbers = itertools.count(1)


LEAVING = b"leaving"
#: Seconds. A lock file as young as this may not be locked yet.
YOUNG = 3600.0

_process: _Process | None = None
_guard = threading.Lock()


def new() -> str:
    """Return a new owner name for one attempt of this process."""
    global _process  # noqa: PLW0603 - one lock file per process is the point
    if _process is None:
        with _guard:
            _process = _process or _Process()
    return f"{_process.name}/{next(_process.numbers)}"


def is_dead(owner: str) -> bool:
    """Return True only with proof: the owner's lock file is here and not held, or its process gave it up."""
    if was_abandoned(owner):
        return True
    try:
        return not is_locked(_file(owner.partition("/")[0]))
    except FileNotFoundError:
        return False


def is_alive(owner: str) -> bool:
    """Return True only with proof: the owner's lock file is here and held, and its process did not give it up."""
    if was_abandoned(owner):
        return False
    try:
        return is_locked(_file(owner.partition("/")[0]))
    except FileNotFoundError:
        return False


def leave() -> None:
    """Mark this process as asked to end, so that the claims that it loses do not count as lost workers."""
    if _process is not None:
        os.pwrite(_process.lock, LEAVING, 0)


def was_leaving(owner: str) -> bool:
    """Return whether the process of this owner was asked to end."""
    try:
        return _file(owner.partition("/")[0]).read_bytes() == LEAVING
    except FileNotFoundError:
        return False


def abandon(owner: str) -> None:
    """Give up an owner of this process that may have got a claim whose answer was lost; no attempt begins in its name."""
    process, _, number = owner.partition("/")
    private.folder(folder())
    with _abandoned_of(process).open("a") as file:
        file.write(f"{number}\n")


def was_abandoned(owner: str) -> bool:
    """Return whether the owner's process gave it up before an attempt began."""
    process, _, number = owner.partition("/")
    try:
        return number in _abandoned_of(process).read_text().split()
    except FileNotFoundError:
        return False


def remove_stale_locks(needed: set[str]) -> None:
    """Remove the lock files of dead processes that no claim names any more."""
    processes = {owner.partition("/")[0] for owner in needed}
    for file in folder().glob("*.lock"):
        if file.stem not in processes and time.time() - file.stat().st_mtime > YOUNG and is_dead(file.stem):
            file.unlink(missing_ok=True)
            _abandoned_of(file.stem).unlink(missing_ok=True)


@dataclass(frozen=True)
class Moment:
    """A time that cannot be set: milliseconds since this machine was started, and which start that was."""

    boot: str
    ms: int


def boot_clock() -> Moment:
    """Return the current time since boot."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return Moment(_boot(), int(time.clock_gettime(clock) * 1000))


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except FileNotFoundError:
        return os.uname().nodename  # after a restart of the machine its clock begins anew, which proves nothing


def folder() -> Path:
    """Return the folder of the lock files."""
    return settings.current().run_dir / "owners"


def _file(process: str) -> Path:
    return folder() / f"{process}.lock"


def _abandoned_of(process: str) -> Path:
    return folder() / f"{process}.abandoned"


def _forget_after_fork() -> None:
    """Close the parent's lock in a forked child, which must not act under the parent's name."""
    global _process, _guard  # noqa: PLW0603 - the child starts anew
    _guard = threading.Lock()
    if _process is not None:
        os.close(_process.lock)
        _process = None


os.register_at_fork(after_in_child=_forget_after_fork)
