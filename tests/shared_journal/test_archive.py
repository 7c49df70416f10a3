"""An old month moves out of the table into a file, and is still read."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from state.journal.heads import JournalHead
from state.journal.projector import project
from state.journal.shared.archive import ArchivedMonth, NotArchived, archive
from state.journal.shared.shared_journal import SharedJournal
from tests.harness.postgres import Postgres
from tests.shared_journal.conftest import AHost
from tests.shared_journal.test_append_and_read import AGENT, begin, intend


@pytest.fixture
def here(a_host: AHost, postgres_server: Postgres, database: str) -> SharedJournal:
    """An agent that has been silent since February 2020."""
    journal = a_host("here")
    begin(journal)
    intend(journal, 1)
    for statement in (
        "CREATE TABLE gatehouse_journal_2020_02 PARTITION OF gatehouse_journal FOR VALUES FROM ('2020-02-01Z') TO ('2020-03-01Z')",
        (
            "WITH old AS (DELETE FROM gatehouse_journal RETURNING agent, event, line) INSERT INTO gatehouse_journal "
            "(at, host, agent, event, line) SELECT '2020-02-09Z', 'here', agent, event, line FROM old"
        ),
    ):
        postgres_server.sql(statement, database)
    return journal


def archived(journal: SharedJournal, folder: Path, month: str = "2020-02") -> ArchivedMonth:
    return archive(journal.database, journal.copy, folder, journal.host, month)


def test_an_archived_month_is_a_file_that_a_rebuild_reads(
    here: SharedJournal, tmp_path: Path, postgres_server: Postgres, database: str, a_host: AHost
) -> None:
    rows = postgres_server.sql("SELECT line FROM gatehouse_journal ORDER BY seq", database)
    found = archived(here, tmp_path / "here" / "journal")

    assert found.records == 2
    with gzip.open(found.file, "rt") as file:
        assert file.read() == "".join(f"{line}\n" for (line,) in rows)
    for copy in (tmp_path / "here" / "journal").glob("shared-*/.state"):
        copy.unlink()
    again = a_host("here")
    assert {key: state.state for (_, key), state in project(again.files()).keys.items()} == {"k1": "unknown"}


def test_what_was_archived_is_not_lost(
    here: SharedJournal, tmp_path: Path, postgres_server: Postgres, database: str, a_host: AHost
) -> None:
    there = a_host("there")
    assert len(there.files()) == 1
    intend(there, 2)
    there.known(AGENT)
    archived(here, tmp_path / "here" / "journal")
    postgres_server.sql("TRUNCATE gatehouse_incarnation", database)

    assert there.known(AGENT) == JournalHead("e1", 2)  # and not incomplete
    assert postgres_server.sql("SELECT event FROM gatehouse_journal", database) == [("intent",), ("checkpoint",)]


def test_a_silent_agent_is_known_without_its_month(here: SharedJournal, tmp_path: Path, a_host: AHost) -> None:
    archived(here, tmp_path / "here" / "journal")

    assert a_host("there").known(AGENT) == JournalHead("e1", 1)


def test_the_partition_is_detached_and_left_standing(
    here: SharedJournal, tmp_path: Path, postgres_server: Postgres, database: str
) -> None:
    found = archived(here, tmp_path / "here" / "journal")

    assert postgres_server.sql(f"SELECT count(*) FROM {found.table}", database) == [(2,)]
    assert postgres_server.sql("SELECT event FROM gatehouse_journal", database) == [("checkpoint",)]
    with pytest.raises(NotArchived, match="archived already"):
        archived(here, tmp_path / "here" / "journal")


def test_a_month_that_may_still_be_written_is_refused(here: SharedJournal, tmp_path: Path) -> None:
    with pytest.raises(NotArchived, match="must be over"):
        archived(here, tmp_path / "here" / "journal", "2999-01")
