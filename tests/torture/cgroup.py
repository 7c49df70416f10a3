"""A limit of memory for single processes, where the machine lets us set one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

V1 = Path("/sys/fs/cgroup/memory")
V2 = Path("/sys/fs/cgroup")


class Group:
    """One control group with a limit."""

    def __init__(self, name: str, megabytes: int) -> None:
        self._old = (V1 / "memory.limit_in_bytes").exists()
        self._folder = (V1 if self._old else V2) / name
        self._folder.mkdir()
        limit = "memory.limit_in_bytes" if self._old else "memory.max"
        (self._folder / limit).write_text(str(megabytes * 1024 * 1024))

    def add(self, pid: int) -> None:
        (self._folder / "cgroup.procs").write_text(str(pid))

    def close(self) -> None:
        self._folder.rmdir()


@contextmanager
def memory(name: str, megabytes: int) -> Iterator[Group]:
    """A group that may use so much."""
    group = Group(name, megabytes)
    try:
        yield group
    finally:
        with contextlib.suppress(OSError):  # a process in it is not gone yet; it goes with the machine
            group.close()


@cache
def missing() -> str | None:
    """Why memory cannot be limited here; None if it can."""
    try:
        Group("torture-probe", 64).close()
    except OSError as error:
        return f"limiting memory needs a writable control group ({error.strerror})"
    return None
