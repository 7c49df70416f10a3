"""The heads of the journal: the epoch and the highest fence of each agent, followed as any process writes."""

from __future__ import annotations

import errno
import os
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from state.errors import NewerFormat
from state.journal import compressed, records
from state.journal.compressed import COMPRESSED
from state.journal.folder_watch import FolderWatch
from state.journal.records import Record

#: What stands behind the time of a record. Only these say something about epochs and fences; others are skipped undecoded.
_EVENT, _EVENT_AT = b'","event":"', len('{"at":"2026-11-30T12:00:00.000Z')
_RELEVANT = tuple(_EVENT + name + b'"' for name in (b"intent", b"asked", b"epoch", b"checkpoint"))
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
    fence: int  #: of the newest intent or question; 0 if no effect was ever about to be sent
    previous_epoch: str = ""  #: the epoch that a Redis without losses has until it is reopened under `epoch`
    incomplete: bool = False  #: a file was removed, and the journal has not taken over from Redis what it said


class Heads(dict[str, JournalHead]):
    """The head of each agent: what the records that were applied so far amount to."""

    def apply(self, record: Record) -> None:
        """Apply a checkpoint, an epoch, an intent or a question; only an epoch's own record begins or changes an epoch.

        A question counts like an intent: a Redis that forgot it is noticed too.
        """
        match record["event"]:
            case "checkpoint":
                self._apply_checkpoint(record)
            case "epoch":
                agent = record["agent"]
                self[agent] = JournalHead(record["epoch"], self.fence(agent), record.get("before", ""))
                self.raise_fence(agent, record["fence"])
            case "intent" | "asked" if record["agent"] in self and record.get("epoch") == self[record["agent"]].epoch:
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
        if head is None:
            self[agent] = JournalHead("", fence)
        elif fence > head.fence:
            self[agent] = JournalHead(head.epoch, fence, head.previous_epoch, head.incomplete)

    def checkpoint(self) -> dict[str, Any]:
        """Return the fields of the record with which a new file begins."""
        return {"known": {agent: [head.epoch, head.fence, head.previous_epoch] for agent, head in sorted(self.items())}}


class _OpenFile:
    """A file that may still grow, kept open."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def is_of(self, inode: int) -> bool:
        """Return whether this is the file with this inode, and can be read."""
        with suppress(OSError):
            return os.fstat(self.descriptor).st_ino == inode
        return False

    def __del__(self) -> None:
        os.close(self.descriptor)


class HeadReader:
    """Reads the heads from the files of one folder: each time only what was appended since the last time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._watch = FolderWatch(folder)
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
        self._open: dict[str, _OpenFile] = {}  #: those that may grow
        self._older = 0

    def _follow(self) -> None:
        """Read what was appended: of the open files while the folder has the same ones, and otherwise of those it has now."""
        if not (self._watch.is_unchanged() and self._open and all(map(self._read_open, self._open))):
            self._follow_folder()

    def _follow_folder(self) -> None:
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
        growing = [name for name in followed if not name.endswith(COMPRESSED)][-STILL_WRITTEN:]
        self._open = {name: self._opened(name) for name in growing}

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

    def _opened(self, name: str) -> _OpenFile:
        before = self._open.get(name)
        return before if before and before.is_of(self._reached[name][0]) else _OpenFile(self._folder / name)

    def _read_open(self, name: str) -> bool:
        """Read what was appended to an open file; return False if it is not the one that was read before, or grew much."""
        descriptor, (which, reached) = self._open[name].descriptor, self._reached[name]
        try:
            now = os.fstat(descriptor)
            if now.st_ino != which or not now.st_nlink or not 0 <= now.st_size - reached <= PIECE:
                return False
            appended = os.pread(descriptor, now.st_size - reached, reached) if now.st_size > reached else b""
        except OSError:  # it is opened again, and then the error is one of the file
            return False
        if appended:
            end = appended.rfind(b"\n") + 1
            try:
                self._apply(appended[:end])
            except NewerFormat as error:
                raise error.in_file(name) from None
            self._reached[name] = which, reached + end
        return True

    def _apply(self, piece: bytes) -> None:
        for line in piece.split(b"\n"):
            if line and not _says_nothing(line):
                # Damaged lines are skipped; `gate recover` reports them.
                for record in records.decode_all(line, records.decode_header):
                    self._heads.apply(record)


def _says_nothing(line: bytes) -> bool:
    """Return whether a line is certainly one record, and says nothing about epochs and fences."""
    is_as_written = line.startswith(_EVENT, _EVENT_AT) and not line.startswith(_RELEVANT, _EVENT_AT)
    return is_as_written and records.is_one(line)


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
