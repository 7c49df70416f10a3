"""The journal: what was about to be sent and what came of it, on this machine's disk, so that it survives the loss of Redis.

Many processes append to one file, each record with a single write. Nobody takes a lock, so that a process that is
stopped in the middle stops nobody else.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import settings
from state import private
from state.errors import JournalUnavailable
from state.files import open_locked, sync_folder
from state.journal import records
from state.journal.heads import OF_A_MONTH, JournalHead, Watermark

#: Seconds to wait while another process of this machine compares Redis with the journal, or rebuilds it.
PATIENCE = 30.0


class Journal:
    """The journal of one state folder, as one process writes it; safe to use from many threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.watermark = Watermark(folder)
        self._file: _File | None = None
        self._writing = threading.Lock()
        self._failed = False

    def append(self, event: str, fields: Mapping[str, Any], *, sync: bool) -> None:
        """Write one record; with `sync` it is on the disk when this returns. Raises JournalUnavailable."""
        line = records.encode(event, fields)
        try:
            with self._writing:
                file = self._current()
                end = file.write(line)
            if sync:
                file.sync(end)
                file.check()
        except OSError as error:
            self._failed = True
            raise _unavailable(self.folder, error) from error
        self._failed = False

    def try_again(self) -> None:
        """After a record that could not be written: raise JournalUnavailable as long as none can be."""
        if self._failed:
            self.append("probe", {}, sync=True)

    def known(self, agent: str) -> JournalHead | None:
        """The epoch and the highest fence that any process wrote down for this agent; None if it never had an effect.

        Raises JournalUnavailable.
        """
        try:
            known = self.watermark.known(agent)
        except OSError as error:
            raise _unreadable(self.folder, error) from error
        if not self.watermark.lost_a_file:
            return known
        self._begin_anew()
        return self.known(agent)

    def _begin_anew(self) -> None:
        """A file was removed or replaced: say so in the one that takes its place."""
        try:
            with self._writing:
                self._file = self._open(self._newest(), anew=True)
        except OSError as error:
            self._failed = True
            raise _unavailable(self.folder, error) from error
        self.watermark.lost_a_file = False

    def agents(self) -> list[str]:
        """Every agent that ever had an effect here. Raises JournalUnavailable."""
        try:
            return self.watermark.agents()
        except OSError as error:
            raise _unreadable(self.folder, error) from error

    def files(self) -> list[Path]:
        """Every file, oldest first, with copies from other machines."""
        return sorted(self.folder.glob("*.jsonl"))

    def own_files(self) -> list[Path]:
        """Those that this machine wrote, oldest first."""
        return [path for path in self.files() if OF_A_MONTH.fullmatch(path.name)]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """For what only one process of this machine may do at a time; writing goes on meanwhile.

        Raises JournalUnavailable if another process is at it for longer than PATIENCE.
        """
        try:
            private.folder(self.folder)
            lock = open_locked(self.folder / ".lock", wait=PATIENCE)
        except BlockingIOError as error:
            raise JournalUnavailable(
                error.errno,
                f"another process compares Redis with the journal in {self.folder}, or recovers, for more than "
                f"{PATIENCE:g} s, and effects are closed meanwhile: wait until it ends, or end it",
            ) from None
        except OSError as error:
            raise _unavailable(self.folder, error) from error
        try:
            yield
        finally:
            os.close(lock)

    def _current(self) -> _File:
        """The file of this month, or a later one if there is one: a clock that was set back changes nothing."""
        if self._file is None or self._file.name < _month() or self._file.is_gone():
            was_removed = self._file is not None and not self._file.is_one_of(self.own_files())
            self._file = self._open(self._newest(), anew=was_removed)
        return self._file

    def _newest(self) -> Path:
        return self.folder / max([_month(), *(path.name for path in self.own_files())])

    def _open(self, path: Path, *, anew: bool) -> _File:
        """Open a file. A new one begins with a checkpoint; `anew` says that it takes the place of one that was removed."""
        is_new = not path.exists()
        private.folder(self.folder)
        file = _File(path)
        if is_new:
            sync_folder(self.folder)
            sync_folder(self.folder.parent)
        if is_new or (anew and not _says_anew(path)):
            mark = {"anew": True} if anew else {}
            file.sync(file.write(records.encode("checkpoint", mark | self.watermark.summary())))
        return file


def _month() -> str:
    return f"{datetime.now(UTC):%Y-%m}.jsonl"


def _says_anew(path: Path) -> bool:
    """Whether another process said already that this file takes the place of one that was removed."""
    return any(
        isinstance(record, dict) and record.get("anew") for _, _, record in records.scan(path, holding=b'"anew"')
    )


class _File:
    """One open file. `write` is called by one thread at a time, `sync` by any."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._path = path
        self._fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._which = _identity(os.fstat(self._fd))
        self._syncing = threading.Lock()
        self._written = self._synced = 0
        self._lost: list[tuple[int, int]] = []  #: from where to where the disk did not take it

    def write(self, line: bytes) -> int:
        """Append with one write, and answer where the file ended then."""
        written = os.write(self._fd, line)
        if written < len(line):
            raise OSError(errno.ENOSPC, f"only {written} of {len(line)} bytes could be written")
        end = os.lseek(self._fd, 0, os.SEEK_CUR)
        if end < self._written:  # somebody emptied the file: what is said of places in it is of another one
            self._synced, self._lost = 0, []
        self._written = end
        return end

    def sync(self, end: int) -> None:
        """Bring everything up to `end` to the disk; of many who wait, the first does it for all."""
        with self._syncing:
            if any(
                begin < end <= to for begin, to in self._lost
            ):  # asked once more, the system would say that all is well
                raise OSError(errno.EIO, "the disk did not take it")
            if self._synced >= end:
                return
            reached = self._written
            try:
                os.fsync(self._fd)
            except OSError:
                self._lost.append((self._synced, reached))
                raise
            self._synced = reached

    def check(self) -> None:
        """Raise if what was written went into a file that nobody will read."""
        if self.is_gone():
            raise FileNotFoundError(errno.ENOENT, f"{self.name} was removed or replaced")

    def is_gone(self) -> bool:
        """Whether somebody removed the file, or put another one in its place."""
        try:
            return _identity(os.stat(self._path)) != self._which  # noqa: PTH116 - for every record, so the quickest
        except FileNotFoundError:
            return True

    def is_one_of(self, paths: Iterable[Path]) -> bool:
        """Whether it is still there, under whatever name."""
        return any(_identity(path.stat()) == self._which for path in paths)

    def __del__(self) -> None:
        os.close(self._fd)  # not before: another thread may be at its sync, and the number would be used again


def _identity(file: os.stat_result) -> tuple[int, int]:
    return file.st_dev, file.st_ino


def _unavailable(folder: Path, error: OSError) -> JournalUnavailable:
    return JournalUnavailable(
        error.errno,
        f"the journal in {folder} cannot be written ({error.strerror or error}); effects are closed until it can: "
        "free the disk, or let this user write there",
    )


def _unreadable(folder: Path, error: OSError) -> JournalUnavailable:
    return JournalUnavailable(
        error.errno,
        f"the journal in {folder} cannot be read ({error.strerror or error}); effects are closed until it can: "
        "let this user read there, or look at the disk",
    )


@cache
def of(folder: Path) -> Journal:
    """This process's journal in `folder`."""
    return Journal(folder)


def current() -> Journal:
    """This process's journal in STATE_DIR."""
    return of(settings.current().journal_dir)


#: A forked child would share its parent's file position, so it opens files of its own.
os.register_at_fork(after_in_child=of.cache_clear)
