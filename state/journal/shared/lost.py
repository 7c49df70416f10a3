"""Records that this host had copied and that the table does not have any more.

A standby that became the primary without them has lost them, and a server that crashed the newest unsynced ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import structlog

from state.journal import compressed, records
from state.journal.heads import HeadReader, Heads
from state.journal.shared import block, rows
from state.journal.shared.block import Entry
from state.journal.shared.connection import Connection

#: Events that are not synced: Redis has them too, and a crash may take them.
_UNSYNCED = frozenset({"checkpoint", "ended", "expired", "followed", "held", "probe", "registered"})
#: Events that say nothing elsewhere.
_LOCAL = frozenset({"checkpoint", "probe"})

log = structlog.get_logger("gatehouse.journal")


def put_back(connection: Connection, host: str, before: Path, fresh: Path, seen: str) -> bool:
    """Append what an earlier copy has and a fresh one lacks, and let every journal take over what Redis knows.

    Args:
        connection: The connection.
        host: This host.
        before: The folder of the earlier copy.
        fresh: The folder of the copy that was made of the table just now.
        seen: The snapshot of the fresh copy.

    Returns:
        False if nothing is missing that matters.

    Raises:
        psycopg.Error: The database is away; nothing was appended.

    """
    archived = connection.execute("SELECT count(*) > 0 FROM gatehouse_archive").fetchone() == (True,)
    lost, began = _lost(before, {hash(line) for line in _lines(fresh)}, archived=archived)
    if not lost:
        return False
    with rows.alone(connection):
        more = [row.line.encode() for row in rows.new(connection, seen).rows]
        missing = [each for each in lost if each[2].encode() not in set(more)]  # another host may have put them back
        now = HeadReader(fresh).heads()
        for line in more:
            _apply(now, line)
        mark = {"anew": True} | HeadReader(before).heads().checkpoint()
        framed = block.framed(missing, began, now) if missing else iter(())
        rows.append_block(connection, host, [*framed, block.entry(records.encode("checkpoint", mark))])
    log.critical(
        "journal lost records",
        lost=len(missing),
        hint="the database lost what it had confirmed; this host put its copy of it back; see gatehouse doctor",
    )
    return True


def _lost(before: Path, there: set[int], *, archived: bool) -> tuple[list[Entry], Heads]:
    """Return the lines that are not there, and the heads before the first of them; none if all are of events that may go.

    If months were archived, lines before the first one that is still there are not lost.
    """
    lost: list[Entry] = []
    began, matters, is_begin = Heads(), False, archived
    for line in _lines(before):
        is_there = hash(line) in there
        is_begin = is_begin and not is_there
        if is_there or is_begin:
            if not lost:
                _apply(began, line)
            continue
        try:
            each = block.entry(line)
        except records.Damaged:
            continue
        matters = matters or each[1] not in _UNSYNCED
        if each[1] not in _LOCAL:
            lost.append(each)
        elif not lost:
            _apply(began, line)
    return (lost if matters else []), began


def _lines(folder: Path) -> Iterator[bytes]:
    """Yield every line of a copy, oldest first, without its newline."""
    for path in sorted(folder.glob("*.jsonl"), key=lambda path: compressed.age(path.name)):
        with path.open("rb") as file:
            for line in file:
                yield line.rstrip(b"\n")


def _apply(heads: Heads, line: bytes) -> None:
    for record in records.decode_all(line, records.decode_header):
        heads.apply(record)
