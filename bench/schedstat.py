"""The processor time of running processes, to the nanosecond: `/proc/PID/stat` counts in steps of 10 ms."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil


def tree(pid: int) -> list[int]:
    """Return a process and all its descendants, by process id."""
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        return [pid, *(child.pid for child in root.children(recursive=True))]
    return []


def seconds(pids: Iterable[int]) -> float:
    """Return the seconds of one core that the threads of these processes have used, as far as they still run."""
    return sum(_of_thread(thread) for pid in pids for thread in Path(f"/proc/{pid}/task").glob("*"))


def seconds_with_ended(pid: int) -> float:
    """Return the seconds that a process, its descendants, and those of their children that have ended used."""
    used = 0.0
    for each in tree(pid):
        with suppress(psutil.NoSuchProcess):
            used += sum(psutil.Process(each).cpu_times()[:4])
    return used


def _of_thread(thread: Path) -> float:
    try:
        return int((thread / "schedstat").read_text().split()[0]) / 1e9
    except (OSError, IndexError, ValueError):  # it has ended
        return 0.0
