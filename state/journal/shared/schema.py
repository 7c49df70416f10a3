"""The table of the journal in a database: made when it is missing, and refused when a newer version made it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from state.errors import NewerFormat
from state.journal.shared.connection import Connection

#: The format of the table that this version knows.
FORMAT = 1
#: The oldest server that has what is needed: 64-bit numbers of transactions came with it.
OLDEST = 130000
#: Partitions that are made ahead, in months.
MONTHS_AHEAD = 3
#: The advisory locks: of the order of records (also in schema.sql), of the comparison with Redis, and of this module.
ORDER, COMPARISON, SCHEMA = 472147014701, 472147014702, 472147014703

#: What schema.sql makes.
_TABLES = ("gatehouse_about", "gatehouse_journal", "gatehouse_incarnation", "gatehouse_import", "gatehouse_archive")
_FUNCTIONS = ("gatehouse_partitions", "gatehouse_append")

_STATEMENTS = Path(__file__).with_name("schema.sql")


def prepare(connection: Connection) -> list[str]:
    """Make what is missing: the tables, the functions, and the partitions of the next months.

    Returns:
        The tables and functions that were made.

    Raises:
        NewerFormat: A newer version of Gatehouse made the table.
        psycopg.Error: The database refuses.

    """
    _check_server(connection)
    missing = _missing(connection)
    if "gatehouse_about" not in missing:
        _check_format(connection)
    if not missing and _has_partitions(connection):
        return []
    with _alone(connection):
        missing = _missing(connection)
        if missing:
            connection.execute(_STATEMENTS.read_bytes(), prepare=False)
            _begin_incarnation(connection)
        connection.execute("SELECT gatehouse_partitions(%s)", [MONTHS_AHEAD])
    return missing


def make_partitions(connection: Connection) -> None:
    """Make the partitions of this month and of the next ones. Raises psycopg.Error.

    That of this month is usually there. If somebody dropped it, records are lost, so each host compares its copy.
    """
    with _alone(connection):
        connection.execute("SELECT gatehouse_partitions(%s)", [MONTHS_AHEAD])
        _begin_incarnation(connection)


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Run a transaction that begins with the lock held: a session learns of new tables when a transaction begins."""
    connection.execute("SELECT pg_advisory_lock(%s)", [SCHEMA])
    try:
        with connection.transaction():
            yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", [SCHEMA])


def check_incarnation(connection: Connection) -> None:
    """Begin a new incarnation if the server lost its last one in a crash, or if these tables came from another server."""
    connection.execute(
        "INSERT INTO gatehouse_incarnation (system) SELECT system_identifier::text FROM pg_control_system() "
        "WHERE NOT EXISTS (SELECT FROM gatehouse_incarnation i WHERE i.system = system_identifier::text) "
        "ON CONFLICT (single) DO UPDATE SET id = gen_random_uuid()::text, system = excluded.system "
        "WHERE gatehouse_incarnation.system <> excluded.system"
    )


def _begin_incarnation(connection: Connection) -> None:
    """Let each host copy the table anew, and put back what it lacks."""
    connection.execute("UPDATE gatehouse_incarnation SET id = gen_random_uuid()::text", prepare=False)


def _check_server(connection: Connection) -> None:
    if connection.info.server_version < OLDEST:
        raise psycopg.NotSupportedError("it is older than PostgreSQL 13")
    encoding = connection.info.parameter_status("server_encoding")
    if encoding not in {"UTF8", "SQL_ASCII"}:
        raise psycopg.NotSupportedError(f"its encoding is {encoding}: create a database with the encoding UTF8")


def _missing(connection: Connection) -> list[str]:
    """Return the tables and functions that are not there."""
    query = "SELECT name FROM unnest(%s::text[]) name WHERE {}(name) IS NULL"
    tables = connection.execute(query.format("to_regclass").encode(), [[*_TABLES]], prepare=False).fetchall()
    functions = connection.execute(query.format("to_regproc").encode(), [[*_FUNCTIONS]], prepare=False).fetchall()
    return [name for (name,) in (*tables, *functions)]


def _has_partitions(connection: Connection) -> bool:
    month = f"(clock_timestamp() AT TIME ZONE 'UTC' + interval '{MONTHS_AHEAD - 1} months')"
    return (
        _first(connection, f"SELECT to_regclass('gatehouse_journal_' || to_char({month}, 'YYYY_MM')) IS NOT NULL")
        is True
    )


def _check_format(connection: Connection) -> None:
    made_with = _first(connection, "SELECT max(format) FROM gatehouse_about")
    if isinstance(made_with, int) and made_with > FORMAT:
        raise NewerFormat(made_with, FORMAT, "the database of the journal")


def _first(connection: Connection, query: str) -> object:
    row = connection.execute(query.encode(), prepare=False).fetchone()
    return row[0] if row else None
