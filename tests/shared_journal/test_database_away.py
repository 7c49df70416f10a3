"""A database that is away, silent, or without its standby: a record that is not confirmed is an error, and soon."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from state.errors import JournalUnavailable
from state.journal.heads import JournalHead
from state.journal.shared import database as databases
from state.journal.shared.connection import Connection
from state.journal.shared.server import Server
from state.journal.shared.shared_journal import SharedJournal
from tests.harness import until, within
from tests.harness.postgres import Postgres
from tests.shared_journal.conftest import a_postgres
from tests.shared_journal.test_append_and_read import AGENT, begin, fences, intend


@pytest.fixture
def journal(fragile_postgres: Postgres, tmp_path: Path) -> SharedJournal:
    made = SharedJournal(tmp_path / "journal", fragile_postgres.url)
    begin(made)
    return made


def writes(journal: SharedJournal, fence: int) -> bool:
    intend(journal, fence)
    return True


def refused(journal: SharedJournal, fence: int) -> str:
    with pytest.raises(JournalUnavailable) as refusal:
        intend(journal, fence)
    return str(refusal.value)


def test_a_killed_database_closes_effects_and_opens_them_again_by_itself(
    fragile_postgres: Postgres, journal: SharedJournal
) -> None:
    fragile_postgres.kill9()

    with within(5):
        words = refused(journal, 1)
        with pytest.raises(JournalUnavailable, match="effects are closed until it can"):
            journal.known(AGENT)
        with pytest.raises(JournalUnavailable):
            journal.files()
    assert f"the journal in postgresql://127.0.0.1:{fragile_postgres.port}/postgres cannot be used" in words
    assert "\n" not in words

    fragile_postgres.start()
    until(lambda: writes(journal, 2), what="a record to be written")

    assert fences(journal) == [2]


def test_a_connection_that_was_lost_at_rest_costs_no_refusal(
    fragile_postgres: Postgres, journal: SharedJournal
) -> None:
    fragile_postgres.restart()

    intend(journal, 1)

    assert journal.known(AGENT) == JournalHead("e1", 1)


def test_a_silent_database_is_given_up_after_a_deadline(
    fragile_postgres: Postgres, journal: SharedJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "deadline", 0.5)
    with fragile_postgres.silent(), within(5):
        assert "no answer within 0.5 s" in refused(journal, 1)

    monkeypatch.undo()
    until(lambda: writes(journal, 2), what="a record to be written")


def test_a_database_that_is_away_is_not_asked_by_each_call(
    fragile_postgres: Postgres, journal: SharedJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "PAUSE", 3600.0)
    fragile_postgres.kill9()
    refused(journal, 1)
    asked: list[str] = []
    monkeypatch.setattr(Connection, "open", asked.append)

    refused(journal, 2)

    assert asked == []


@pytest.fixture
def alone() -> Iterator[Postgres]:
    """A server that waits for a standby, which is not there."""
    server = a_postgres()
    SharedJournal(server.folder / "first", server.url).append("probe", {}, sync=True)
    server.set("synchronous_standby_names", "ANY 1 (b)")
    yield server
    server.close()


def test_a_record_that_waits_for_a_lost_standby_is_not_written(
    alone: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the server's own deadline nor a person who cancels the wait makes it count as written."""
    journal = SharedJournal(tmp_path / "journal", alone.url)
    journal.append("probe", {}, sync=False)
    monkeypatch.setattr(Connection, "deadline", 0.5)
    assert "no answer within 0.5 s" in refused(journal, 1)
    monkeypatch.undo()

    refusals: list[str] = []
    thread = threading.Thread(target=lambda: refusals.append(refused(journal, 2)))
    thread.start()
    query = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    until(lambda: alone.sql(query) is not None and not thread.is_alive(), what="the wait to be cancelled")

    assert "canceling wait for synchronous replication" in refusals[0]


def test_doctor_tells_what_a_confirmed_record_is_worth(alone: Postgres) -> None:
    with Connection.open(alone.url) as connection:
        [(problem, change)] = Server.ask(connection).problems()

    assert "no standby is connected: no record is confirmed" in problem
    assert "start the standby" in change


@pytest.mark.slow
def test_a_promoted_synchronous_standby_has_every_confirmed_record(fragile_postgres: Postgres, tmp_path: Path) -> None:
    standby = fragile_postgres.standby("b")
    try:
        host = f"127.0.0.1:{fragile_postgres.port},127.0.0.1:{standby.port}"
        journal = SharedJournal(tmp_path / "journal", f"postgresql://gate@{host}/postgres")
        begin(journal)
        with Connection.open(fragile_postgres.url) as connection:
            [(problem, _)] = Server.ask(connection).problems()
        assert "asynchronous" in problem
        fragile_postgres.set("synchronous_standby_names", "ANY 1 (b)")
        until(lambda: fragile_postgres.sql("SELECT sync_state FROM pg_stat_replication") == [("quorum",)])
        confirmed: list[int] = []
        until(lambda: _until_it_fails(journal, confirmed, fragile_postgres), what="the primary to be gone")

        standby.promote()
        until(lambda: writes(journal, 1000), what="a record to be written")

        assert {*confirmed, 1000} <= set(fences(journal))
        assert journal.known(AGENT) == JournalHead("e1", 1000)
        other = SharedJournal(tmp_path / "other", standby.url)
        assert set(fences(other)) == set(fences(journal))
    finally:
        standby.close()


def _until_it_fails(journal: SharedJournal, confirmed: list[int], server: Postgres) -> bool:
    """Append, and kill the server in the middle, after at least one record."""
    intend(journal, len(confirmed) + 1)
    confirmed.append(len(confirmed) + 1)
    killer = threading.Timer(0.3, server.kill9)
    killer.start()
    ends = time.monotonic() + 30
    try:
        while time.monotonic() < ends:
            intend(journal, len(confirmed) + 1)
            confirmed.append(len(confirmed) + 1)
    except JournalUnavailable:
        return bool(confirmed)
    finally:
        killer.join()
    return False


def test_a_password_is_in_no_message(tmp_path: Path) -> None:
    url = "postgresql://gate:s3cr3t@127.0.0.1:1/gatehouse"
    journal = SharedJournal(tmp_path / "journal", url)

    words = refused(journal, 1)

    assert "s3cr3t" not in words
    assert "Connection refused" in words
