"""The journal on this machine's disk: what was about to be sent, and its outcome. It survives the loss of Redis.

With JOURNAL_URL it is in a database, which several hosts share; see `state/journal/shared`.

Many processes append to one file, each record with a single write. They take no lock, so that a process that is stopped
in the middle of a write does not stop the others.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from state import private
from state.errors import JournalUnavailable
from state.files import open_locked, sync_folder
from state.journal import compressed, records
from state.journal.compressed import COMPRESSED
from state.journal.heads import OWN_FILE, HeadReader, JournalHead
from state.journal.month_file import MonthFile

#: Seconds to wait while another process of this machine compares Redis with the journal, or rebuilds it.
PATIENCE = 30.0


class Journal:
    """The journal of one state folder, as one process writes it; safe to use from many threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._heads = HeadReader(folder)
        self._file: MonthFile | None = None
        self._writing = threading.Lock()
        self._failed = False

    def append(self, event: str, fields: Mapping[str, Any], *, sync: bool) -> None:
        """Write one record.

        Args:
            event: What happened.
            fields: The rest of the record.
            sync: Bring the record to the disk before this returns.

        Raises:
            JournalUnavailable: The record was not written, or is not on the disk.

        """
        line = records.encode(event, fields)
        try:
            with self._writing:
                file = self._current()
                end = file.write(line)
            if sync:
                file.sync(end)
                if file.is_gone():  # nothing will read what was written
                    raise FileNotFoundError(errno.ENOENT, f"{file.name} was removed or replaced")
        except JournalUnavailable:
            self._failed = True
            raise
        except OSError as error:
            self._failed = True
            raise _unavailable(self.folder, error) from error
        self._failed = False

    def try_again(self) -> None:
        """Write a probe if the last record could not be written. Raises JournalUnavailable as long as none can be."""
        if self._failed:
            self.append("probe", {}, sync=True)

    def known(self, agent: str) -> JournalHead | None:
        """Return the epoch and the highest fence that any process wrote for this agent; None if it never had an effect.

        Raises:
            JournalUnavailable: The journal cannot be read, or a newer version of Gatehouse wrote it.

        """
        with readable(self.folder):
            head = self._heads.head(agent)
        if not self._heads.lost_a_file:
            return head
        self._begin_anew()
        return self.known(agent)

    def _begin_anew(self) -> None:
        """Say in the newest file that one was removed or replaced."""
        try:
            with self._writing:
                self._file = self._open(self._newest(), anew=True)
        except OSError as error:
            self._failed = True
            raise _unavailable(self.folder, error) from error
        self._heads.lost_a_file = False

    def agents(self) -> list[str]:
        """Return every agent that ever had an effect here. Raises as `known` does."""
        with readable(self.folder):
            return sorted(self._heads.heads())

    def files(self) -> list[Path]:
        """Return every file, oldest first, with copies from other machines and files that were compressed."""
        plain = list(self.folder.glob("*.jsonl"))
        packed = [path for path in self.folder.glob(f"*.jsonl{COMPRESSED}") if not compressed.is_left_over(path)]
        return sorted(plain + packed, key=lambda path: compressed.age(path.name))

    def own_files(self) -> list[Path]:
        """Return the files that this machine wrote, oldest first."""
        return [path for path in self.files() if OWN_FILE.fullmatch(path.name)]

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the lock under which one process of this machine compares or rebuilds Redis; writing goes on meanwhile.

        Raises:
            JournalUnavailable: Another process holds it for longer than PATIENCE.

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

    def _current(self) -> MonthFile:
        """Return the file of this month, or a later one if there is one: a clock that was set back changes nothing."""
        if self._file is None or self._file.name < _month() or self._file.is_gone():
            was_removed = self._file is not None and not self._file.is_one_of(self.own_files())
            self._file = self._open(self._newest(), anew=was_removed)
        return self._file

    def _newest(self) -> Path:
        return self.folder / max([_month(), *(path.name for path in self.own_files() if path.suffix != COMPRESSED)])

    def _open(self, path: Path, *, anew: bool) -> MonthFile:
        """Open a file. A new one begins with a checkpoint; `anew` says that it takes the place of one that was removed."""
        is_new = not path.exists()
        heads = self._heads.heads() if is_new else None  # before this file hides a compressed one of its name
        private.folder(self.folder)
        file = MonthFile(path)
        if is_new:
            sync_folder(self.folder)
            sync_folder(self.folder.parent)
        if is_new or (anew and not _says_anew(path)):
            mark = {"anew": True} if anew else {}
            file.sync(file.write(records.encode("checkpoint", mark | (heads or self._heads.heads()).checkpoint())))
        return file


def _month() -> str:
    return f"{datetime.now(UTC):%Y-%m}.jsonl"


def _says_anew(path: Path) -> bool:
    """Return whether another process said already that this file takes the place of one that was removed."""
    found = records.scan(path, containing=b'"anew"')
    return any(isinstance(record, dict) and record.get("anew") for _, _, record in found)


def _unavailable(folder: Path, error: OSError) -> JournalUnavailable:
    return JournalUnavailable(
        error.errno,
        f"the journal in {folder} cannot be written ({error.strerror or error}); effects are closed until it can: "
        "free the disk, or let this user write there",
    )


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """Turn what goes wrong while the journal is read into JournalUnavailable."""
    try:
        yield
    except JournalUnavailable:
        raise
    except OSError as error:
        raise JournalUnavailable(
            error.errno,
            f"the journal in {folder} cannot be read ({error.strerror or error}); effects are closed until it can: "
            "let this user read there, or look at the disk",
        ) from error
