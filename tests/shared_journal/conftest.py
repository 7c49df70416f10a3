"""Fixtures: a PostgreSQL server, a database of the test's own, and the journals of hosts that share it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from state.journal.shared.shared_journal import SharedJournal
from tests.harness import ServerMissing
from tests.harness.postgres import Postgres

AHost = Callable[[str], SharedJournal]

_numbers = count(1)


def a_postgres(**options: str) -> Postgres:
    """A running server. Where there is no binary: skip at home, fail in CI."""
    try:
        return Postgres(options=options).start()
    except ServerMissing as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    server = a_postgres()
    yield server
    server.close()


@pytest.fixture
def fragile_postgres() -> Iterator[Postgres]:
    """A server of the test's own, to be stopped and killed."""
    server = a_postgres()
    yield server
    server.close()


@pytest.fixture
def database(postgres_server: Postgres) -> str:
    """The name of an empty database on the session's server."""
    name = f"gate{next(_numbers)}"
    postgres_server.sql(f"CREATE DATABASE {name}")
    return name


@pytest.fixture
def journal_url(postgres_server: Postgres, database: str) -> str:
    return postgres_server.url_of(database)


@pytest.fixture
def a_host(tmp_path: Path, journal_url: str) -> AHost:
    """Make the journal of one host, or of another process of it, by the host's name."""
    return lambda name: SharedJournal(tmp_path / name / "journal", journal_url)
