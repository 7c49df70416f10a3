"""Rows of the table: append one, and read those that became visible since the last reading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import psycopg

from state.journal.shared import schema
from state.journal.shared.connection import Connection
from state.terminal import one_line

#: A snapshot before all transactions.
NOTHING_SEEN = "3:3:"

_APPEND = "SELECT gatehouse_append(%s, %s, %s, %s, %s, %s)"
#: A row is new if its transaction is visible now and was not in the last snapshot. A number alone would not do: of two
#: transactions, the one with the higher number may become visible first.
_NEW = """
    WITH now AS (SELECT (SELECT id FROM gatehouse_incarnation) AS incarnation, pg_current_snapshot() AS snapshot)
    SELECT now.incarnation, now.snapshot::text, to_char(row.at, 'YYYY-MM'), row.line
    FROM now LEFT JOIN gatehouse_journal row
    ON row.xid >= pg_snapshot_xmin(%(seen)s::pg_snapshot) AND NOT pg_visible_in_snapshot(row.xid, %(seen)s::pg_snapshot)
    ORDER BY row.seq
"""
_ALL = "COPY (SELECT to_char(at, 'YYYY-MM'), line FROM gatehouse_journal ORDER BY seq) TO STDOUT"


class JournalRow(NamedTuple):
    """One record: the month in which the database got it, and its line without a newline."""

    month: str
    line: str


@dataclass(frozen=True)
class Reading:
    """The rows that one statement read."""

    incarnation: str  #: changes when the server may have lost rows that were visible, or gives numbers again
    snapshot: str  #: which transactions were visible
    rows: list[JournalRow] = field(default_factory=list)

    @property
    def next(self) -> int:
        """The number that the next transaction gets."""
        return next_of(self.snapshot)


def next_of(snapshot: str) -> int:
    """Return the number of the first transaction that a snapshot does not know; it is lower in an older state of a server."""
    return int(snapshot.split(":")[1])


class NotOnStandby(psycopg.OperationalError):
    """Raised when the server says that a record is committed, and warns that its standby does not have it."""


def append(connection: Connection, record: tuple[str, str, str, str], *, is_synced: bool, is_alone: bool) -> None:
    """Append one record: the host, the agent, the event and the line. Raises psycopg.Error."""
    connection.warning = ""
    connection.execute(_APPEND, (*record, is_synced, is_alone))
    if connection.warning:
        raise NotOnStandby(one_line(connection.warning))


def new(connection: Connection, seen: str) -> Reading:
    """Return the rows that became visible since a snapshot, in the order of their numbers. Raises psycopg.Error."""
    found = connection.execute(_NEW, {"seen": seen}).fetchall()
    incarnation, snapshot, *_ = found[0]
    rows = [JournalRow(month, line) for _, _, month, line in found if line is not None]
    return Reading(incarnation or "", snapshot, rows)


@contextmanager
def every(connection: Connection) -> Iterator[tuple[Reading, Iterator[JournalRow]]]:
    """Read the whole table: yields which state of it is read, and its rows. Raises psycopg.Error."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.execute("SET LOCAL statement_timeout = 0")
        now = connection.execute(
            "SELECT (SELECT id FROM gatehouse_incarnation), pg_current_snapshot()::text", prepare=False
        ).fetchone()
        incarnation, snapshot = now or ("", NOTHING_SEEN)
        with connection.cursor().copy(_ALL) as copy:
            copy.set_types(["text", "text"])
            yield Reading(incarnation or "", snapshot), (JournalRow(*row) for row in copy.rows())


def append_block(connection: Connection, host: str, lines: Iterable[tuple[str, str, str]]) -> None:
    """Append many records, of which no other record comes in between; the caller holds `schema.ORDER` in a transaction.

    Args:
        connection: The connection.
        host: Who appends them.
        lines: The agent, the event and the line of each.

    Raises:
        psycopg.Error: None of them is there.

    """
    with connection.cursor().copy("COPY gatehouse_journal (host, agent, event, line) FROM STDIN") as copy:
        for agent, event, line in lines:
            copy.write_row((host, agent, event, line))


@contextmanager
def alone(connection: Connection) -> Iterator[None]:
    """Run a transaction during which nobody else appends; all that was appended before is visible in it."""
    with connection.transaction():
        connection.execute("SET LOCAL statement_timeout = 0")
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [schema.ORDER])
        connection.warning = ""
        yield
    if connection.warning:
        raise NotOnStandby(one_line(connection.warning))
