"""How far the journal reaches: the epoch and the highest fence of each agent, followed as any process writes."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from state.journal import records
from state.journal.records import Record

#: Only these say something about epochs and fences; the others are passed over unread.
_TELLING = re.compile(rb'"event":"(?:intent|epoch|checkpoint)"')
#: The files that this machine writes; others in the folder are copies from elsewhere.
OF_A_MONTH = re.compile(r"\d{4}-\d{2}\.jsonl")
#: Files that may still grow: that of this month, and that of the last for a writer who is late.
STILL_WRITTEN = 2
#: Bytes read at once.
PIECE = 1024 * 1024


@dataclass(frozen=True)
class JournalHead:
    """What the journal holds of one agent."""

    epoch: str
    fence: int  #: of the newest intent; 0 if nothing was ever about to be sent
    before: str = ""  #: the epoch that Redis has until the work for this one is done, if Redis lost nothing
    lacks: bool = False  #: a file of the journal was removed, and what it said was not taken over from Redis yet


class Watermark:
    """Reads what was appended since it last looked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._follows = STILL_WRITTEN  #: how many of the newest files
        self.lost_a_file = False  #: a file that was read here is gone, or another one took its place
        self._forget()

    def known(self, agent: str) -> JournalHead | None:
        """The epoch and the highest fence of this agent, as of now."""
        with self._lock:
            self._follow()
            if agent not in self._known and self._older:
                # It may have been silent for months, and what it did may not be forgotten.
                self._follows += self._older
                self._forget()
                self._follow()
            return self._known.get(agent)

    def summary(self) -> dict[str, Any]:
        """All that is known, as a new file begins with it."""
        with self._lock:
            self._follow()
            return {
                "known": {
                    agent: [known.epoch, known.fence, known.before] for agent, known in sorted(self._known.items())
                }
            }

    def agents(self) -> list[str]:
        """Every agent that ever had an effect here."""
        return list(self.summary()["known"])

    def _forget(self) -> None:
        self._known: dict[str, JournalHead] = {}
        self._reached: dict[str, tuple[int, int]] = {}  #: file → which one it was, and how far it was read
        self._older = 0

    def _follow(self) -> None:
        files = self._files()
        self._older = max(0, len(files) - self._follows)
        followed = {name: (self._folder / name).stat() for name in files[self._older :]}
        if not self._reached.keys() <= set(files) or any(self._is_another(*file) for file in followed.items()):
            # What it said of effects is gone too, and must not seem to be known: begin anew with what is left.
            self.lost_a_file = self.lost_a_file or self._lost(files)
            self._known, self._reached = {}, {}
        for name, now in followed.items():
            self._read(name, now)

    def _lost(self, files: list[str]) -> bool:
        """Whether what was read of the newest files is gone: not renamed, nor compacted, which old files are."""
        sizes = {about.st_ino: about.st_size for about in ((self._folder / name).stat() for name in files)}
        newest = sorted(self._reached)[-STILL_WRITTEN:]
        return any(sizes.get(which, -1) < reached for which, reached in map(self._reached.__getitem__, newest))

    def _is_another(self, name: str, now: os.stat_result) -> bool:
        """Whether another file took the place of one that was read."""
        which, reached = self._reached.get(name, (now.st_ino, 0))
        return which != now.st_ino or now.st_size < reached

    def _files(self) -> list[str]:
        try:
            return sorted(name for name in os.listdir(self._folder) if OF_A_MONTH.fullmatch(name))  # noqa: PTH208 - quicker
        except FileNotFoundError:
            return []

    def _read(self, name: str, now: os.stat_result) -> None:
        _, reached = self._reached.get(name, (now.st_ino, 0))
        if now.st_size > reached:
            with (self._folder / name).open("rb") as file:
                file.seek(reached)
                for piece in _whole_lines(file):
                    self._note(piece)
                    reached += len(piece)
        self._reached[name] = now.st_ino, reached

    def _note(self, piece: bytes) -> None:
        end = 0
        for telling in _TELLING.finditer(piece):
            if telling.start() < end:
                continue  # in a line that was read
            start, end = piece.rfind(b"\n", 0, telling.start()) + 1, piece.find(b"\n", telling.end()) + 1
            for record in records.decode_all(
                piece[start:end], records.decode_header
            ):  # `gate recover` reports damaged ones
                self._take(record)

    def _take(self, record: Record) -> None:
        """Only an epoch's own record makes or changes an epoch. An intent of the one before was never sent."""
        match record["event"]:
            case "checkpoint":
                if record.get("anew"):
                    self._known = {agent: replace(known, lacks=True) for agent, known in self._known.items()}
                for agent, (epoch, fence, *before) in record["known"].items():
                    # It says what its writer knew a moment before; what is known by now is newer.
                    self._known.setdefault(agent, JournalHead(epoch, 0, *before))
                    self._raise(agent, fence)
            case "epoch":
                here = self._known.get(record["agent"], JournalHead("", 0))
                self._known[record["agent"]] = JournalHead(record["epoch"], here.fence, record.get("before", ""))
                self._raise(record["agent"], record["fence"])
            case "intent" if record["agent"] in self._known:
                if record["epoch"] == self._known[record["agent"]].epoch:
                    self._raise(record["agent"], record["fence"])

    def _raise(self, agent: str, fence: int) -> None:
        here = self._known[agent]
        self._known[agent] = replace(here, fence=max(fence, here.fence))


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """The rest of a file in pieces that end with a line; what is still being written, or torn, is left."""
    rest = b""
    while piece := file.read(PIECE):
        end = piece.rfind(b"\n") + 1
        if end:
            yield rest + piece[:end]
            rest = piece[end:]
        else:
            rest += piece
