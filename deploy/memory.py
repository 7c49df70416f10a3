"""`python -m deploy.memory`: show how much memory the running system holds, process by process.

Without arguments it measures what `make up` started with this STATE_DIR; process ids name other processes, such as those
of systemd. The figure is the proportional set size (PSS): memory that n processes share counts as one n-th in each, so
the rows add up. Only Linux has it.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import psutil

import settings
from deploy import procfile
from state import terminal

BYTES_PER_MB = 1024 * 1024


class MemoryReadError(RuntimeError):
    """Raised when there is no process to measure, or no permission; the message says what to do."""


@dataclass(frozen=True)
class Row:
    """One process; `pss` is in MB of 1024 KiB."""

    name: str
    pid: int
    pss: float


def main() -> int:
    """Print a row for each process and their sum.

    Returns:
        The exit code: 1 if nothing could be measured, or if the sum is above the limit.

    """
    parser = argparse.ArgumentParser(prog="python -m deploy.memory", description=__doc__)
    parser.add_argument("pid", type=int, nargs="*", help="measure these and their children (default: `make up`)")
    parser.add_argument("--limit", type=float, metavar="MB", help="exit with 1 if the sum is above it")
    arguments = parser.parse_args()
    try:
        rows = measure(arguments.pid or [supervisor_pid()])
    except (MemoryReadError, settings.SettingsError, procfile.ProcfileError) as error:
        print(f"gatehouse: {terminal.lines(error)}", file=sys.stderr)
        return 1
    total = sum(row.pss for row in rows)
    for row in [*rows, Row("sum", len(rows), total)]:
        print(f"{terminal.one_line(row.name):<14} {row.pid:>8} {row.pss:>8.1f} MB")
    return int(arguments.limit is not None and total > arguments.limit)


def supervisor_pid() -> int:
    """Return the process id of the `make up` that runs with this STATE_DIR; raise MemoryReadError if none does."""
    lock = settings.current().run_dir / "up.lock"
    pid = lock.read_text().strip() if lock.is_file() else ""
    if not pid.isdecimal() or not psutil.pid_exists(int(pid)):
        raise MemoryReadError(f"nothing runs with STATE_DIR {settings.current().state_dir}; start it with: make up")
    return int(pid)


def measure(pids: list[int]) -> list[Row]:
    """Measure processes and all their descendants.

    Returns:
        One row for each process that still runs, the largest first.

    Raises:
        MemoryReadError: if none of them runs, if one belongs to another user, or if this is not Linux.

    """
    if not psutil.LINUX:
        raise MemoryReadError("only Linux tells the proportional set size of a process")
    # The image has its Procfile in the working folder.
    path = next(filter(Path.is_file, (settings.ROOT / "Procfile", Path("Procfile"))), None)
    names = procfile.read(path) if path else {}
    rows: dict[int, Row] = {}
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            for process in [root, *root.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    rows[process.pid] = _measure_one(process, names)
    if not rows:
        raise MemoryReadError(f"no process with the id {', '.join(map(str, pids))}")
    return sorted(rows.values(), key=lambda row: row.pss, reverse=True)


def _measure_one(process: psutil.Process, names: dict[str, str]) -> Row:
    try:
        return Row(_name(process, names), process.pid, process.memory_full_info().pss / BYTES_PER_MB)
    except psutil.AccessDenied:
        raise MemoryReadError(
            f"process {process.pid} belongs to another user; run this command as that user, or as root"
        ) from None


def _name(process: psutil.Process, names: dict[str, str]) -> str:
    """Return the name that the Procfile gives the process, else its module or script of `deploy`, else its program."""
    words = process.cmdline()
    for word in words:
        if (head := word.partition(".")[0]) in names:
            return head
    modules = (word.removeprefix("deploy.") for word in words if word.startswith("deploy."))
    scripts = (Path(word).stem for word in words if word.endswith(".sh"))
    return next(chain(modules, scripts), process.name())


if __name__ == "__main__":
    sys.exit(main())
