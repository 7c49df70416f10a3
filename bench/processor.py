"""The processor time that processes have used, as Linux counts it: in hundredths of a second."""

from __future__ import annotations

import os
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")
#: Fields of /proc/PID/stat behind the command's name.
_PARENT, _USER, _SYSTEM = 1, 11, 12


def seconds(*leaders: int) -> float:
    """Return the seconds that these processes and their living descendants have used so far."""
    stats = _all()
    wanted, used = set(leaders), 0.0
    for pid in sorted(stats):  # a child has a larger number than its parent, but for a wrap in the middle of a run
        if pid in wanted or int(stats[pid][_PARENT]) in wanted:
            wanted.add(pid)
            used += (int(stats[pid][_USER]) + int(stats[pid][_SYSTEM])) * TICK
    return used


def stolen() -> float:
    """Return the seconds that the host gave to other machines while this one wanted to run, over all processors."""
    return int(Path("/proc/stat").read_text().splitlines()[0].split()[8]) * TICK


def _all() -> dict[int, list[str]]:
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[int(path.parent.name)] = text.rpartition(")")[2].split()
    return found
