"""The copy of the table on this host: ordinary files of the journal, brought up to date before each reading.

It may be removed at any time, and is made anew after a restart of the machine: its files are not synced to the disk.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path

import psutil
from psycopg import errors

from state import private
from state.files import FILE, is_at, lock_file
from state.journal import records
from state.journal.heads import HeadReader, Heads
from state.journal.shared import rows
from state.journal.shared.connection import Connection
from state.journal.shared.copy_state import CopyState, new_folder
from state.journal.shared.database import Database
from state.journal.shared.lost import put_back
from state.journal.shared.rows import JournalRow, Reading

#: Seconds to wait while another process of this host brings the copy up to date. Making one of a million rows takes some;
#: a process that is stopped holds the lock until it goes on.
PATIENCE = 15.0
#: Rows written at once.
BATCH_SIZE = 10_000
#: What the folder of a process that has a copy of its own begins with; its number follows.
_OWN = "own-"


class HostCopy:
    """The copy of one database; safe to use from many threads and processes of this host."""

    def __init__(self, folder: Path, database: Database, host: str) -> None:
        self._folder, self._database, self._host = folder, database, host
        self._guard = threading.Lock()
        self._begun = self._done = 0  #: numbers of updates in this process
        self._heads = HeadReader(folder)
        self.current = folder  #: the folder of the files

    def update(self) -> HeadReader:
        """Bring the copy up to date with all that was visible when this was called.

        Returns:
            The reader of its heads.

        Raises:
            JournalUnavailable: The database is away.
            OSError: The copy cannot be written.

        """
        asked = self._begun
        with self._guard:
            if self._done > asked:  # another thread began after this one asked
                return self._heads
            self._begun += 1
            begun = self._begun
            private.folder(self._folder)
            try:
                state = self._locked_update()
            except BlockingIOError:  # it is stopped: this process goes on with a copy of its own
                self._folder = private.folder(self._folder / f"{_OWN}{os.getpid()}")
                state = self._locked_update()
            if state.folder != self.current.name:
                self.current = self._folder / state.folder
                self._heads = HeadReader(self.current)
            self._done = begun
            return self._heads

    def _locked_update(self) -> CopyState:
        with lock_file(self._folder / ".lock", wait=PATIENCE) as lock:
            return self._database.run(self._update, lock)

    def _update(self, connection: Connection, lock: int) -> CopyState:
        state = CopyState.read(self._folder)
        if state is None:
            return self._made_anew(connection, lock)
        try:
            found = rows.new(connection, state.snapshot)
        except errors.QueryCanceled:  # more than can be read at once: this host was away for long
            return self._made_anew(connection, lock)
        if found.incarnation != state.incarnation or not found.incarnation or found.next < state.next:
            return self._made_anew(connection, lock)
        if not found.rows:
            return state
        left = state.left_over(self._folder)
        return self._add(state, found, (row for row in found.rows if not _was_left(row, left)))

    def _made_anew(self, connection: Connection, lock: int) -> CopyState:
        """Copy the whole table into a new folder; the one before is kept for those who read it right now."""
        before = CopyState.last_folder(self._folder)
        fresh = new_folder(self._folder)
        with rows.every(connection) as (found, every):
            state = self._add(CopyState.of_nothing(fresh.name), found, every)
        if before and put_back(connection, self._host, before, fresh, found.snapshot):
            more = rows.new(connection, state.snapshot)
            state = self._add(state, more, iter(more.rows))
        if is_at(lock, self._folder / ".lock"):  # else the folder was removed, and others have a copy in the new one
            self._clean_up({before, fresh})
        return state

    def _clean_up(self, kept: set[Path | None]) -> None:
        for old in self._folder.glob("copy-*"):
            if old not in kept:
                shutil.rmtree(old, ignore_errors=True)
        for own in self._folder.glob(f"{_OWN}*"):
            if not psutil.pid_exists(int(own.name.removeprefix(_OWN))):
                shutil.rmtree(own, ignore_errors=True)

    def _add(self, state: CopyState, found: Reading, added: Iterator[JournalRow]) -> CopyState:
        """Append rows to the files, and then say so: who is ended in between leaves lines that are recognised."""
        folder = self._folder / state.folder
        for month, some in groupby(added, attrgetter("month")):
            file = folder / max(f"{month}.jsonl", state.newest)
            if not file.exists():
                _begin(file, HeadReader(folder).heads() if state.files else Heads())
            _write(file, (f"{row.line}\n".encode() for row in some))
            state = state.with_file(file)
        if state.newest:
            state = state.with_file(folder / state.newest)  # what was left over counts too
        state = state.at(found.incarnation, found.snapshot)
        state.write(self._folder)
        return state


def _was_left(row: JournalRow, left: Counter[bytes]) -> bool:
    line = row.line.encode()
    left[line] -= 1
    return left[line] >= 0


def _begin(file: Path, heads: Heads) -> None:
    """Create a file, which begins with what the ones before it say of each agent."""
    file.touch(FILE)
    if heads:
        _write(file, [records.encode("checkpoint", heads.checkpoint())])


def _write(file: Path, lines: Iterable[bytes]) -> None:
    """Append lines, each batch with one write if the system takes it."""
    with file.open("ab", buffering=0) as out:
        for batch in _batched(lines):
            rest = memoryview(b"".join(batch))
            while rest:
                rest = rest[out.write(rest) :]


def _batched(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield lines in lists of BATCH_SIZE at most."""
    each = iter(lines)
    while some := list(islice(each, BATCH_SIZE)):
        yield some
