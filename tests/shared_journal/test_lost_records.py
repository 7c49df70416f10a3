"""A server that lost what it had confirmed: a host that copied it puts it back, and Redis is compared with it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from state.errors import JournalUnavailable
from state.journal.heads import JournalHead
from state.journal.projector import project
from state.journal.shared import host_copy, lost
from state.journal.shared.connection import Connection
from state.journal.shared.server import Server
from state.journal.shared.shared_journal import SharedJournal
from tests.harness import until
from tests.harness.postgres import Postgres
from tests.shared_journal.conftest import AHost
from tests.shared_journal.test_append_and_read import AGENT, begin, fences, intend, read

Lose = Callable[[str], None]


@pytest.fixture
def here(a_host: AHost) -> SharedJournal:
    journal = a_host("here")
    begin(journal)
    intend(journal, 1)
    intend(journal, 2)
    journal.known(AGENT)
    return journal


@pytest.fixture
def failover(postgres_server: Postgres, database: str) -> Lose:
    """As far as a reader can see it: rows are gone, and so is the incarnation."""

    def lose(where: str) -> None:
        postgres_server.sql(f"DELETE FROM gatehouse_journal WHERE {where}", database)
        postgres_server.sql("TRUNCATE gatehouse_incarnation", database)

    return lose


def test_a_lost_intent_is_put_back_for_every_host(here: SharedJournal, failover: Lose, a_host: AHost) -> None:
    there = a_host("there")
    failover("line LIKE '%\"fence\":2%'")
    assert there.known(AGENT) == JournalHead("e1", 1)

    with capture_logs() as logs:
        known = here.known(AGENT)

    assert known == JournalHead("e1", 2, incomplete=True)  # so that what else was lost is taken over from Redis
    assert [line["lost"] for line in logs] == [1]
    assert there.known(AGENT) == known
    assert fences(here) == fences(there) == [1, 2]


def test_a_lost_intent_counts_in_the_epoch_in_which_it_was_sent(
    here: SharedJournal, failover: Lose, a_host: AHost
) -> None:
    failover("line LIKE '%\"fence\":2%'")
    begin(there := a_host("there"), "e2", 1)  # another host was quicker

    here.known(AGENT)

    states = project(there.files()).keys
    assert states[AGENT, "k2"].state == "unknown"
    assert there.known(AGENT) == JournalHead("e2", 2, incomplete=True)


def test_nothing_is_put_back_twice(
    here: SharedJournal, failover: Lose, a_host: AHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = a_host("there")
    assert fences(there) == [1, 2]
    failover("line LIKE '%\"fence\":2%'")
    original = lost.put_back

    def overtaken(*args: Any) -> bool:
        monkeypatch.undo()
        here.known(AGENT)
        return original(*args)

    monkeypatch.setattr(host_copy, "put_back", overtaken)
    there.known(AGENT)

    assert fences(here) == fences(there) == [1, 2]


TABLES = "gatehouse_journal, gatehouse_incarnation, gatehouse_about, gatehouse_import, gatehouse_archive"
#: This month's part of the table.
PART = "gatehouse_journal_' || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY_MM')"
#: What somebody may drop, and whether records are lost with it.
DROPS = {
    "all tables": (f"DROP TABLE {TABLES}", True),
    "the records": ("DROP TABLE gatehouse_journal", True),
    "a month": (f"DO $$ BEGIN EXECUTE 'DROP TABLE {PART}; END $$", True),
    "the incarnation": ("DROP TABLE gatehouse_incarnation", False),
    "the appending": ("DROP FUNCTION gatehouse_append", False),
    "the partitioning": ("DROP FUNCTION gatehouse_partitions", False),
    "the imports": ("DROP TABLE gatehouse_import", False),
}


@pytest.mark.parametrize(("drop", "loses"), DROPS.values(), ids=DROPS)
def test_a_running_process_makes_anew_what_was_dropped(
    here: SharedJournal, postgres_server: Postgres, database: str, drop: str, loses: bool
) -> None:
    postgres_server.sql(drop, database)

    with capture_logs() as logs:
        intend(here, 3)
        known = here.known(AGENT)

    assert known is not None
    assert (known.epoch, known.incomplete) == ("e1", loses)
    assert sorted(fences(here)) == [1, 2, 3]
    assert ("journal lost records" in {line["event"] for line in logs}) == loses


def test_a_database_that_is_dropped_and_created_again_gets_the_records_back(
    here: SharedJournal, postgres_server: Postgres, database: str, a_host: AHost
) -> None:
    postgres_server.sql(f"DROP DATABASE {database} WITH (FORCE)")
    with pytest.raises(JournalUnavailable, match="does not exist"):
        intend(here, 3)
    postgres_server.sql(f"CREATE DATABASE {database}")

    with capture_logs() as logs:
        known = until(lambda: here.known(AGENT), what="the database to be used again")

    assert known == JournalHead("e1", 2, incomplete=True)
    assert [line["event"] for line in logs] == ["journal was dropped", "journal lost records"]
    assert fences(here) == fences(a_host("there")) == [1, 2]
    with Connection.open(postgres_server.url_of(database)) as connection:
        assert f"{here.host} put back what its copy has" in Server.last_loss(connection)


def test_an_unsynced_record_may_go(here: SharedJournal, failover: Lose) -> None:
    here.append("registered", {"agent": AGENT, "key": "k3", "call": "c3"}, sync=False)
    assert read(here)[-1]["event"] == "registered"
    failover("event = 'registered'")

    assert here.known(AGENT) == JournalHead("e1", 2)
    assert fences(here) == [1, 2]


def test_a_crash_that_lost_nothing_changes_nothing(here: SharedJournal, failover: Lose) -> None:
    failover("false")

    assert here.known(AGENT) == JournalHead("e1", 2)
    assert len(read(here)) == 3


def test_a_server_that_was_put_back_to_an_older_state_is_noticed(
    fragile_postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A copy of its folder has the incarnation too, and gives the numbers of later transactions again."""
    journal = SharedJournal(tmp_path_factory.mktemp("host") / "journal", fragile_postgres.url)
    begin(journal)
    fragile_postgres.stop()
    saved = fragile_postgres.folder / "saved"
    subprocess.run(["cp", "-a", fragile_postgres.data, saved], check=True)
    fragile_postgres.start()
    for fence in range(1, 9):
        intend(journal, fence)
    journal.known(AGENT)
    fragile_postgres.stop()
    shutil.rmtree(fragile_postgres.data)
    saved.rename(fragile_postgres.data)
    fragile_postgres.start()

    assert journal.known(AGENT) == JournalHead("e1", 8, incomplete=True)
    assert fences(journal) == list(range(1, 9))


def test_a_crash_is_noticed_on_a_real_server(
    fragile_postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """PostgreSQL empties an unlogged table then; a clean stop leaves it."""
    journal = SharedJournal(tmp_path_factory.mktemp("host") / "journal", fragile_postgres.url)
    begin(journal)
    journal.known(AGENT)
    [(before,)] = fragile_postgres.sql("SELECT id FROM gatehouse_incarnation")

    fragile_postgres.restart()
    assert fragile_postgres.sql("SELECT id FROM gatehouse_incarnation") == []

    assert journal.known(AGENT) == JournalHead("e1", 0)
    [(after,)] = fragile_postgres.sql("SELECT id FROM gatehouse_incarnation")
    assert after != before
