"""The heads of the journal: the epoch and the highest fence of each agent, followed as any process writes."""

from __future__ import annotations

import errno
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from state.errors import NewerFormat
from state.journal import compressed, records
from state.journal.compressed import COMPRESSED
from state.journal.records import NEWER_VERSION, Record

#: Only these lines say something about epochs and fences; all others are skipped undecoded.
_RELEVANT = re.compile(rb'"event":"(?:intent|epoch|checkpoint)"|' + NEWER_VERSION)
#: The files that this machine wrote; others in the folder are copies from elsewhere.
OWN_FILE = re.compile(rf"\d{{4}}-\d{{2}}\.jsonl(?:{re.escape(COMPRESSED)})?")
#: Files that may still grow: that of this month, and that of the last for a writer who is late.
STILL_WRITTEN = 2
#: Bytes read at once.
PIECE = 1024 * 1024


@dataclass(frozen=True)
class JournalHead:
    """The newest epoch and fence of one agent in the journal."""

    epoch: str
    fence: int  #: of the newest intent; 0 if no effect was ever about to be sent
    previous_epoch: str = ""  #: the epoch that a Redis without losses has until it is reopened under `epoch`
    incomplete: bool = False  #: a file was removed, and the journal has not taken over from Redis what it said


class Heads(dict[str, JournalHead]):
    """The head of each agent: what the records that were applied so far amount to."""

    def apply(self, record: Record) -> None:
        """Apply a checkpoint, an epoch or an intent; only an epoch's own record begins or changes an epoch."""
        match record["event"]:
            case "checkpoint":
                self._apply_checkpoint(record)
            case "epoch":
                agent = record["agent"]
                self[agent] = JournalHead(record["epoch"], self.fence(agent), record.get("before", ""))
                self.raise_fence(agent, record["fence"])
            case "intent" if record["agent"] in self and record["epoch"] == self[record["agent"]].epoch:
                self.raise_fence(record["agent"], record["fence"])  # an intent of an epoch that is over was not sent

    def _apply_checkpoint(self, record: Record) -> None:
        if record.get("anew"):
            for agent, head in self.items():
                self[agent] = replace(head, incomplete=True)
        for agent, (epoch, fence, *before) in record["known"].items():
            if not self.epoch(agent):  # the writer knew this a moment before it wrote; what was applied since is newer
                self[agent] = JournalHead(epoch, self.fence(agent), *before)
            self.raise_fence(agent, fence)

    def epoch(self, agent: str) -> str:
        """Return the agent's epoch, "" if there is none."""
        return self[agent].epoch if agent in self else ""

    def fence(self, agent: str) -> int:
        """Return the agent's highest fence, 0 if there is none."""
        return self[agent].fence if agent in self else 0

    def raise_fence(self, agent: str, fence: int) -> None:
        """Count an intent with this fence, also of an agent without an epoch."""
        head = self.get(agent)
        if head is None or fence > head.fence:
            self[agent] = replace(head or JournalHead("", 0), fence=fence)

    def checkpoint(self) -> dict[str, Any]:
        """Return the fields of the record with which a new file begins."""
        return {"known": {agent: [head.epoch, head.fence, head.previous_epoch] for agent, head in sorted(self.items())}}


class HeadReader:
    """Reads the heads from the files of one folder: each time only what was appended since the last time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._follows = STILL_WRITTEN  #: how many of the newest files
        self.lost_a_file = False  #: a file that was read here was removed or replaced
        self._forget()

    def head(self, agent: str) -> JournalHead | None:
        """Return the epoch and the highest fence of this agent as of now; None if it never had an effect.

        Raises:
            OSError: A file cannot be read.
            NewerFormat: A file was written by a newer version of Gatehouse.

        """
        with self._lock:
            self._follow()
            if agent not in self._heads and self._older:
                # It may have been silent for months, and what it did may not be forgotten.
                self._follows += self._older
                self._forget()
                self._follow()
            return self._heads.get(agent)

    def heads(self) -> Heads:
        """Return the heads of every agent that ever had an effect here. Raises as `head` does."""
        with self._lock:
            self._follow()
            return Heads(self._heads)

    def _forget(self) -> None:
        self._heads = Heads()
        self._reached: dict[str, tuple[int, int]] = {}  #: file → its inode, and how far it was read
        self._older = 0

    def _follow(self) -> None:
        files = self._files()
        self._older = max(0, len(files) - self._follows)
        followed = {name: (self._folder / name).stat() for name in files[self._older :]}
        is_replaced = any(
            self._reached[name][0] != now.st_ino or now.st_size < self._reached[name][1]
            for name, now in followed.items()
            if name in self._reached
        )
        if is_replaced or not self._reached.keys() <= set(files):
            # What the lost file said of effects must not seem to be known: begin anew with what is left.
            self.lost_a_file = self.lost_a_file or self._lost(files)
            self._heads, self._reached = Heads(), {}
        for name, now in followed.items():
            self._read(name, now)

    def _lost(self, files: list[str]) -> bool:
        """Return whether what was read of the newest files is gone, and not just renamed or compressed."""
        sizes = {about.st_ino: about.st_size for about in ((self._folder / name).stat() for name in files)}
        newest = [name for name in sorted(self._reached)[-STILL_WRITTEN:] if f"{name}{COMPRESSED}" not in files]
        return any(sizes.get(which, -1) < reached for which, reached in map(self._reached.__getitem__, newest))

    def _files(self) -> list[str]:
        try:
            names = [name for name in os.listdir(self._folder) if OWN_FILE.fullmatch(name)]  # noqa: PTH208 - quicker
        except FileNotFoundError:
            return []
        # A compressed file whose original is still there is being written, or was left behind.
        return sorted(set(names) - {f"{name}{COMPRESSED}" for name in names})

    def _read(self, name: str, now: os.stat_result) -> None:
        _, reached = self._reached.get(name, (now.st_ino, 0))
        if now.st_size > reached or name not in self._reached:
            try:
                with compressed.open_file(self._folder / name) as file:
                    file.seek(reached)
                    for piece in _whole_lines(file):
                        self._apply(piece)
                        reached += len(piece)
            except compressed.NOT_DECOMPRESSED as error:
                raise OSError(errno.EIO, f"{name} cannot be decompressed: {error}") from None
            except NewerFormat as error:
                raise error.in_file(name) from None
        self._reached[name] = now.st_ino, now.st_size if name.endswith(COMPRESSED) else reached

    def _apply(self, piece: bytes) -> None:
        end = 0
        for found in _RELEVANT.finditer(piece):
            if found.start() < end:
                continue  # in a line that was applied
            start, end = piece.rfind(b"\n", 0, found.start()) + 1, piece.find(b"\n", found.end()) + 1
            # Damaged lines are skipped; `gate recover` reports them.
            for record in records.decode_all(piece[start:end], records.decode_header):
                self._heads.apply(record)


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the rest of a file in pieces that end with a line, without a last line that is unfinished or torn."""
    rest = b""
    while piece := file.read(PIECE):
        end = piece.rfind(b"\n") + 1
        if end:
            yield rest + piece[:end]
            rest = piece[end:]
        else:
            rest += piece
