"""Old months of the table, moved into files: a partition is written to one, compared with it, and detached."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from psycopg.sql import SQL, Identifier

from state import private
from state.files import FILE, UNFINISHED, sync_folder
from state.journal import records
from state.journal.shared import block, rows
from state.journal.shared.connection import Connection
from state.journal.shared.database import Database
from state.journal.shared.host_copy import HostCopy

#: The folder of archived months, beside the copy of the table; a rebuild reads it too.
FOLDER = "archive"

_LINES = SQL("COPY (SELECT line FROM {} ORDER BY seq) TO STDOUT")
_DETACH = SQL("ALTER TABLE gatehouse_journal DETACH PARTITION {}")
_NOTE = "INSERT INTO gatehouse_archive (month, host, records, sha256) VALUES (%s, %s, %s, %s)"


class NotArchived(Exception):
    """Raised when a month cannot be archived; says why, and the table is as it was."""


@dataclass(frozen=True)
class ArchivedMonth:
    """One month, and where it is now."""

    month: str
    file: str
    records: int
    sha256: str  #: of the lines, as they were read back from the file
    table: str  #: the detached partition, which a person may drop


def archived_files(folder: Path) -> list[Path]:
    """Return the archived months of a journal's folder, oldest first."""
    return sorted((folder / FOLDER).glob("*.jsonl.gz"))


def archive(database: Database, copy: HostCopy, folder: Path, host: str, month: str) -> ArchivedMonth:
    """Move one month into a file below a folder, and detach its partition.

    A checkpoint is appended first, so that agents that were silent since are known without that month.

    Args:
        database: The database.
        copy: The copy of the table on this host.
        folder: The folder of the journal.
        host: The name of this host.
        month: Such as 2026-01.

    Raises:
        NotArchived: The month is not over, or is not in the table.
        JournalUnavailable: The database is away.
        OSError: The file cannot be written.

    """
    return database.run(_archive, copy, private.folder(folder / FOLDER), host, month)


def _archive(connection: Connection, copy: HostCopy, folder: Path, host: str, month: str) -> ArchivedMonth:
    table, file = f"gatehouse_journal_{month.replace('-', '_')}", folder / f"{month}-archive.jsonl.gz"
    if not _is_over(connection, month):
        raise NotArchived(f"{month} and the month after it must be over before {month} is archived")
    copy.update()
    with rows.alone(connection):
        if not _is_partition(connection, table):
            raise NotArchived(f"the table has no partition of {month}; it was archived already, or never written")
        heads = copy.update().heads()
        checkpoint = block.entry(records.encode("checkpoint", heads.checkpoint()))
        rows.append_block(connection, host, [checkpoint])
        count, digest = _write(file, _lines(connection, table))
        if (count, digest) != _read_back(file):
            raise NotArchived(f"{file} does not have what was written to it; look at the disk")
        connection.execute(_DETACH.format(Identifier(table)))
        connection.execute(_NOTE, [month, host, count, digest])
    return ArchivedMonth(month, str(file), count, digest, table)


def _is_over(connection: Connection, month: str) -> bool:
    query = "SELECT to_date(%s, 'YYYY-MM') + interval '2 months' <= clock_timestamp() AT TIME ZONE 'UTC'"
    row = connection.execute(query, [month]).fetchone()
    return bool(row and row[0])


def _is_partition(connection: Connection, table: str) -> bool:
    query = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'gatehouse_journal'::regclass AND inhrelid = to_regclass(%s)"
    row = connection.execute(query, [table]).fetchone()
    return bool(row and row[0])


def _lines(connection: Connection, table: str) -> Iterator[bytes]:
    with connection.cursor().copy(_LINES.format(Identifier(table))) as copy:
        copy.set_types(["text"])
        for [line] in copy.rows():
            yield f"{line}\n".encode()


def _write(file: Path, lines: Iterator[bytes]) -> tuple[int, str]:
    """Write a file whole, on the disk when this returns; return how many lines it has, and their digest."""
    unfinished = file.with_name(f".{file.name}{UNFINISHED}")
    count, digest = 0, hashlib.sha256()
    descriptor = os.open(unfinished, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, FILE)
    with os.fdopen(descriptor, "wb") as raw:
        with gzip.open(raw, "wb") as packed:
            for line in lines:
                packed.write(line)
                digest.update(line)
                count += 1
        raw.flush()
        os.fsync(raw.fileno())
    unfinished.replace(file)
    sync_folder(file.parent)
    return count, digest.hexdigest()


def _read_back(file: Path) -> tuple[int, str]:
    digest, count = hashlib.sha256(), 0
    with gzip.open(file) as packed:
        for line in packed:
            digest.update(line)
            count += 1
    return count, digest.hexdigest()
