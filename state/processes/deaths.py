"""Deaths of the processes that the supervisor keeps running, in a small file: it must be written while Redis is away.

A single death is nothing to tell; a process that dies again and again needs a person.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import settings
from state import private
from state.files import write_atomic

#: In STATE_DIR/run.
FILE = "deaths.json"
#: Deaths within this time count together; a supervisor pauses up to 30 s between two starts.
WITHIN = timedelta(minutes=5)
#: So many of them are told.
MANY = 3
#: Deaths of one process that are kept.
MAX_KEPT = 20


@dataclass(frozen=True)
class Deaths:
    """The times at which a process died, the oldest first, and how it ended last."""

    times: list[datetime]
    reason: str

    def keeps_dying(self, now: datetime) -> bool:
        """Return whether it died often lately; one that has been running for WITHIN since is well again."""
        return len(self.times) >= MANY and now - self.times[-1] < WITHIN


def path() -> Path:
    """Return the file of this machine."""
    return settings.current().run_dir / FILE


def record(file: Path, process: str, reason: str) -> None:
    """Add a death that happened now.

    Args:
        file: The file, as `FILE` names it.
        process: The name of the process.
        reason: How it ended.

    Raises:
        OSError: The file cannot be written.

    """
    now = datetime.now(UTC)
    known = _read(file)
    before = [time for time in (known[process].times if process in known else []) if now - time < WITHIN]
    known[process] = Deaths([*before, now][-MAX_KEPT:], reason)
    stored = {
        name: {"times": [t.isoformat() for t in each.times], "reason": each.reason} for name, each in known.items()
    }
    private.folder(file.parent)
    write_atomic(file, json.dumps(stored).encode())


def read() -> dict[str, Deaths]:
    """Return the deaths on this machine, by process; none if the file is missing or cannot be read."""
    return _read(path())


def _read(file: Path) -> dict[str, Deaths]:
    try:
        stored = json.loads(file.read_bytes())
        return {
            str(name): Deaths([datetime.fromisoformat(time) for time in each["times"]], str(each["reason"]))
            for name, each in stored.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
