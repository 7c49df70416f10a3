"""`python -m deploy.memory`: how much memory the running system holds, process by process.

Without arguments it looks at what `make up` started with this STATE_DIR; process ids name others, as under systemd.
The figure is the proportional set size: memory that n processes share counts as one n-th in each, so that it adds up.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import settings
from deploy import procfile
from state import terminal

PROC = Path("/proc")

KIB_PER_MB = 1024


class MemoryReadError(RuntimeError):
    """Raised when there is nothing to measure, or no way to; says what to do."""


@dataclass(frozen=True)
class Row:
    """One process; `pss` is in MB of 1024 KiB."""

    name: str
    pid: int
    pss: float


def main() -> int:
    """Show the rows and their sum; answers 1 if there are none, or if the sum is above the limit."""
    parser = argparse.ArgumentParser(prog="python -m deploy.memory", description=__doc__)
    parser.add_argument("pid", type=int, nargs="*", help="measure these and their children (default: `make up`)")
    parser.add_argument("--limit", type=float, metavar="MB", help="exit with 1 if the sum is above it")
    given = parser.parse_args()
    try:
        rows = measure(given.pid or [supervisor()])
    except (MemoryReadError, settings.SettingsError, procfile.ProcfileError) as error:
        print(f"gatehouse: {terminal.lines(error)}", file=sys.stderr)
        return 1
    total = sum(row.pss for row in rows)
    for row in [*rows, Row("sum", len(rows), total)]:
        print(f"{terminal.one_line(row.name):<14} {row.pid:>8} {row.pss:>8.1f} MB")
    return int(given.limit is not None and total > given.limit)


def supervisor() -> int:
    """The process id of the `make up` that runs with this STATE_DIR."""
    lock = settings.current().run_dir / "up.lock"
    pid = lock.read_text().strip() if lock.is_file() else ""
    if not pid.isdecimal() or not (PROC / pid).exists():
        raise MemoryReadError(f"nothing runs with STATE_DIR {settings.current().state_dir}; start it with: make up")
    return int(pid)


def measure(roots: list[int]) -> list[Row]:
    """These processes and all below them, the largest first."""
    # An image has it in its working folder.
    path = next(filter(Path.is_file, (settings.ROOT / "Procfile", Path("Procfile"))), None)
    names = procfile.read(path) if path else {}
    rows = [Row(_name(pid, names), pid, pss) for pid in family(roots) if (pss := _pss(pid)) is not None]
    if not rows:
        raise MemoryReadError(f"no process with the id {', '.join(map(str, roots))}")
    return sorted(rows, key=lambda row: row.pss, reverse=True)


def family(roots: list[int]) -> list[int]:
    """`roots`, their children, the children's children, and so on."""
    parents = {int(entry.name): _parent(entry) for entry in PROC.iterdir() if entry.name.isdecimal()}
    found = list(dict.fromkeys(roots))
    for pid in found:  # it grows while we walk along it
        found += [child for child, parent in parents.items() if parent == pid and child not in found]
    return found


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0  # it ended just now


def _pss(pid: int) -> float | None:
    """In MB; None for a process that has ended."""
    try:
        text = (PROC / str(pid) / "smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    except PermissionError:
        raise MemoryReadError(f"process {pid} is not yours to measure; run this as its user, or as root") from None
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / KIB_PER_MB


def _name(pid: int, names: dict[str, str]) -> str:
    """As the Procfile calls it, or its module, or its program."""
    words = (PROC / str(pid) / "cmdline").read_text(errors="replace").split("\0")
    for word in words:
        if (head := word.partition(".")[0]) in names:
            return head
    modules = (word.removeprefix("deploy.") for word in words if word.startswith("deploy."))
    return next(modules, (PROC / str(pid) / "comm").read_text().strip())


if __name__ == "__main__":
    sys.exit(main())
