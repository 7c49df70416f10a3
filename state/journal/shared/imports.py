"""The files of a journal, moved into the table: what was written on this host before it shared a journal."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

from state import hints
from state.errors import JournalUnavailable
from state.journal import compressed, records
from state.journal.compressed import COMPRESSED
from state.journal.heads import OWN_FILE, Heads
from state.journal.records import CorruptRecord
from state.journal.shared import block, rows
from state.journal.shared.block import Entry
from state.journal.shared.connection import Connection
from state.journal.shared.database import Database
from state.journal.shared.host_copy import HostCopy

#: Bytes read at once.
PIECE = 1024 * 1024

_IMPORTED = "SELECT bytes, records, sha256 FROM gatehouse_import WHERE file = %s AND head = %s"
_NOTE = """
    INSERT INTO gatehouse_import (host, file, head, bytes, records, sha256) VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (file, head) DO UPDATE SET bytes = excluded.bytes, records = excluded.records, sha256 = excluded.sha256
"""
_ADDED = "COPY (SELECT line FROM gatehouse_journal WHERE seq > %s ORDER BY seq) TO STDOUT"


class NotImported(Exception):
    """Raised when files cannot be moved into the database; says why, and nothing was changed."""


@dataclass
class ImportedFile:
    """One file, and what of it is in the table now."""

    file: str
    records: int = 0  #: that were added now
    known: int = 0  #: that were there already
    bytes: int = 0
    sha256: str = ""  #: of the lines that were added, as they were read back from the table
    skipped: list[str] = field(default_factory=list)  #: lines that are torn or damaged


def check_imported(database: Database, folder: Path) -> None:
    """Raise JournalUnavailable if files that this host wrote into its journal are not in the database yet."""
    files = [path for path in own_files(folder) if path.stat().st_size]
    missing = [path.name for path in files if not _is_imported(database, path)]
    if missing:
        raise JournalUnavailable(
            errno.ENODATA,
            f"{', '.join(missing[:5])} in {folder} are not in the database of JOURNAL_URL yet; effects are closed: stop "
            f"what still writes there, and run {hints.gatehouse('journal', 'import')}",
        )


def own_files(folder: Path) -> list[Path]:
    """Return the files that this host wrote, oldest first; one that was compressed counts once."""
    found = [path for path in folder.glob("*.jsonl*") if OWN_FILE.fullmatch(path.name)]
    left_over = {path for path in found if path.suffix == COMPRESSED and compressed.is_left_over(path)}
    return sorted(set(found) - left_over, key=lambda path: compressed.age(path.name))


def import_files(
    database: Database, copy: HostCopy, folder: Path, host: str, *, skip_damaged: bool = False
) -> list[ImportedFile]:
    """Add the records of a folder's files to the table, those of earlier imports excepted; all of them or none.

    Args:
        database: The database.
        copy: The copy of the table on this host.
        folder: The folder of the files.
        host: The name of this host.
        skip_damaged: Go on without lines that cannot be read; torn ones are always left out.

    Raises:
        NotImported: A line is damaged, or a file was changed since it was imported.
        JournalUnavailable: The database is away.

    """
    return database.run(_import, copy, own_files(folder), host, skip_damaged=skip_damaged)


def _import(
    connection: Connection, copy: HostCopy, files: list[Path], host: str, *, skip_damaged: bool
) -> list[ImportedFile]:
    copy.update()  # puts back what the table lost, which needs the lock that is taken now
    with rows.alone(connection), ExitStack() as stack:
        now, heads, is_first = copy.update().heads(), Heads(), True
        sources = [_Source(path, stack.enter_context(compressed.open_seekable(path)), heads) for path in files]
        for source in sources:
            source.skip_known(connection)
            since = _highest(connection)
            lines = source.lines()
            for first in islice(lines, 1):
                if is_first:
                    rows.append_block(connection, host, block.epochs(source.began))
                    since, is_first = _highest(connection), False
                rows.append_block(connection, host, chain([first], lines))
            source.check(connection, since, skip_damaged=skip_damaged)
            source.note(connection, host)
        if not is_first:
            rows.append_block(connection, host, block.epochs(now))
    return [source.report for source in sources]


class _Source:
    """One file as it is imported.

    Args:
        path: The file.
        file: The same, open for reading; unpacked if it is compressed.
        heads: The heads of the files before this one, and then of this one.

    """

    def __init__(self, path: Path, file: BinaryIO, heads: Heads) -> None:
        self.report = ImportedFile(path.name)
        self.began = Heads()  #: the heads before the first line that is added
        self._path, self._file, self._heads = path, file, heads
        self._damaged: list[str] = []
        self._digest = hashlib.sha256()
        self._known_bytes = 0

    def skip_known(self, connection: Connection) -> None:
        """Find out how much an earlier import brought here. Raises NotImported if that is not in the file any more."""
        found = connection.execute(_IMPORTED, [_name(self._path), _head(self._file)]).fetchone()
        if found is None:
            return
        self._known_bytes, self.report.known, digest = found
        if _digest_of(self._file, self._known_bytes) != digest:
            raise NotImported(f"{self._path} was changed since it was imported: restore it from a backup")

    def lines(self) -> Iterator[Entry]:
        """Yield each record that is not in the table yet, and apply all to the heads."""
        for offset, length, found in records.scan(self._path, decoder=records.decode_header):
            if isinstance(found, CorruptRecord):
                (self.report.skipped if found.torn else self._damaged).append(str(found))
            else:
                is_new = offset >= self._known_bytes
                is_first = is_new and not self.report.records
                if is_first:
                    self.began = Heads(self._heads)
                self._heads.apply(found)
                if is_first and found["event"] == "checkpoint":
                    self.began = Heads(self._heads)
                if is_new:
                    self.report.records += 1
                    yield self._entry(offset, length, found)
            self.report.bytes = offset + length

    def _entry(self, offset: int, length: int, record: dict[str, Any]) -> Entry:
        self._file.seek(offset)
        line = self._file.read(length).rstrip(b"\n")
        self._digest.update(line + b"\n")
        return block.entry(line, record)

    def check(self, connection: Connection, since: int, *, skip_damaged: bool) -> None:
        """Compare what is in the table now with the file, by count and digest. Raises NotImported."""
        if self._damaged and not skip_damaged:
            raise NotImported(
                f"{'; '.join(self._damaged[:5])}: restore the file from a backup, or go on without these lines: "
                f"{hints.gatehouse('journal', 'import', '--skip-damaged')}"
            )
        self.report.skipped += self._damaged
        count, digest = 0, hashlib.sha256()
        with connection.cursor().copy(_ADDED, [since]) as copy:
            copy.set_types(["text"])
            for count, [line] in enumerate(copy.rows(), 1):  # noqa: B007 - the number of the last one is used
                digest.update(f"{line}\n".encode())
        if (count, digest.digest()) != (self.report.records, self._digest.digest()):
            raise NotImported(f"{self._path.name}: the table has something else than the file; run it again")
        self.report.sha256 = digest.hexdigest() if count else ""

    def note(self, connection: Connection, host: str) -> None:
        """Write down how much of the file is in the table."""
        digest = _digest_of(self._file, self.report.bytes)
        total = self.report.known + self.report.records
        values = [host, _name(self._path), _head(self._file), self.report.bytes, total, digest]
        connection.execute(_NOTE, values)


def _is_imported(database: Database, path: Path) -> bool:
    with compressed.open_seekable(path) as file:
        size = file.seek(0, os.SEEK_END)
        found = database.run(lambda connection: connection.execute(_IMPORTED, [_name(path), _head(file)]).fetchone())
    return bool(found and found[0] == size)


def _highest(connection: Connection) -> int:
    row = connection.execute("SELECT coalesce(max(seq), 0) FROM gatehouse_journal").fetchone()
    return int(row[0]) if row else 0


def _name(path: Path) -> str:
    return path.name.removesuffix(COMPRESSED)


def _head(file: BinaryIO) -> str:
    """Return a digest of the first line, which says when the file was begun."""
    file.seek(0)
    return hashlib.sha256(file.readline()).hexdigest()


def _digest_of(file: BinaryIO, size: int) -> str:
    """Return a digest of the first bytes of a file."""
    file.seek(0)
    digest = hashlib.sha256()
    while size and (piece := file.read(min(size, PIECE))):
        digest.update(piece)
        size -= len(piece)
    return digest.hexdigest()
