"""How far the journal reaches: the epoch and the highest fence of each agent, followed as any process writes."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from state import records
from state.records import Damaged

#: Only these say something about epochs and fences; the others are passed over unread.
_NAMES = ("intent", "epoch", "checkpoint")
_TELLING = tuple(b'"event":"%b"' % name.encode() for name in _NAMES)
#: Files that may still grow: that of this month, and that of the last for a writer who is late.
STILL_WRITTEN = 2


@dataclass(frozen=True)
class Known:
    """What the journal holds of one agent."""

    epoch: str
    fence: int  #: of the newest intent; 0 if nothing was ever about to be sent


class Watermark:
    """Reads what was appended since it last looked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._forget()

    def known(self, agent: str) -> Known | None:
        """The epoch and the highest fence of this agent, as of now."""
        with self._lock:
            self._follow()
            return self._known.get(agent)

    def summary(self) -> dict[str, Any]:
        """All that is known, as a new file begins with it."""
        with self._lock:
            self._follow()
            return {"known": {agent: [known.epoch, known.fence] for agent, known in sorted(self._known.items())}}

    def agents(self) -> list[str]:
        """Every agent that ever had an effect here."""
        return list(self.summary()["known"])

    def _forget(self) -> None:
        self._known: dict[str, Known] = {}
        self._reached: dict[Path, int] = {}
        self._listed_at = 0

    def _follow(self) -> None:
        try:
            changed_at = self._folder.stat().st_mtime_ns
        except FileNotFoundError:
            self._forget()
            return
        if changed_at != self._listed_at:
            self._list()
            self._listed_at = changed_at
        for path in list(self._reached):
            self._read(path)

    def _list(self) -> None:
        """Take up new files; where one that was followed is gone, begin anew."""
        files = sorted(self._folder.glob("*.jsonl"))[-STILL_WRITTEN:]
        if not set(self._reached) <= {*files, *self._folder.glob("*.jsonl")}:
            self._forget()
        self._reached = {path: self._reached.get(path, 0) for path in files}

    def _read(self, path: Path) -> None:
        if path.stat().st_size <= self._reached[path]:
            return
        with path.open("rb") as file:
            file.seek(self._reached[path])
            for line in file:
                if not line.endswith(b"\n"):
                    return  # still being written, or torn
                self._reached[path] += len(line)
                if any(telling in line for telling in _TELLING):
                    self._note(line)

    def _note(self, line: bytes) -> None:
        try:
            record = records.of_line(line)
        except Damaged:
            return  # `gate recover` reports it
        if record["event"] not in _NAMES:
            return
        if record["event"] == "checkpoint":
            for agent, (epoch, fence) in record["known"].items():
                self._raise(agent, epoch, fence)
        else:
            self._raise(record["agent"], record["epoch"], record["fence"])

    def _raise(self, agent: str, epoch: str, fence: int) -> None:
        before = self._known.get(agent)
        self._known[agent] = Known(epoch, max(fence, before.fence if before else 0))
