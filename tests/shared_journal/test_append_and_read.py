"""What one host appends, every host reads: whole, in one order, and also what was committed late."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import psycopg
import pytest

from state.errors import JournalUnavailable, NewerFormat
from state.files import lock_file
from state.journal import records
from state.journal.heads import JournalHead
from state.journal.shared import database as databases
from state.journal.shared import host_copy, rows
from state.journal.shared.copy_state import CopyState
from state.journal.shared.rows import NOTHING_SEEN
from state.journal.shared.shared_journal import SharedJournal
from tests.harness import until, within
from tests.harness.postgres import Postgres
from tests.shared_journal.conftest import AHost

AGENT = "poster"


def begin(journal: SharedJournal, epoch: str = "e1", fence: int = 0) -> None:
    journal.append("epoch", {"agent": AGENT, "epoch": epoch, "fence": fence}, sync=True)


def intend(journal: SharedJournal, fence: int, epoch: str = "e1", sync: bool = True) -> None:
    journal.append("intent", an_intent(fence, epoch), sync=sync)


def an_intent(fence: int, epoch: str = "e1") -> dict[str, Any]:
    return {"agent": AGENT, "key": f"k{fence}", "call": f"c{fence}", "fence": fence, "epoch": epoch}


def read(journal: SharedJournal) -> list[dict[str, Any]]:
    """Every record, as a rebuild reads them."""
    found = chain.from_iterable(map(records.read, journal.files()))
    return [record for record in found if isinstance(record, dict)]


def fences(journal: SharedJournal) -> list[int]:
    return [record["fence"] for record in read(journal) if record["event"] == "intent"]


@pytest.fixture
def late(postgres_server: Postgres, database: str) -> Iterator[psycopg.Connection[Any]]:
    """A writer that is slow to commit."""
    with psycopg.connect(postgres_server.url_of(database)) as connection:
        yield connection


def append_late(connection: psycopg.Connection[Any], fence: int) -> None:
    line = records.encode("intent", an_intent(fence))[:-1].decode()
    connection.execute("SELECT gatehouse_append('late', %s, 'intent', %s, true, false)", [AGENT, line])


def test_what_one_host_writes_the_other_knows(a_host: AHost) -> None:
    here, there = a_host("here"), a_host("there")
    begin(here)
    intend(here, 1)

    assert there.known(AGENT) == JournalHead("e1", 1)

    intend(there, 2)

    assert here.known(AGENT) == JournalHead("e1", 2)
    assert here.agents() == there.agents() == [AGENT]
    assert read(here) == read(there)


def test_a_row_is_the_line_that_a_file_would_have(a_host: AHost, postgres_server: Postgres, database: str) -> None:
    begin(here := a_host("here"))
    here.append("point", {"agent": AGENT, "key": "k", "value": 'ä\n"\\u0000\x00'}, sync=False)

    rows = postgres_server.sql("SELECT host, agent, event, line FROM gatehouse_journal ORDER BY seq", database)
    [file] = here.files()

    assert "".join(f"{line}\n" for *_, line in rows) == file.read_text()
    assert [(agent, event) for _, agent, event, _ in rows] == [(AGENT, "epoch"), (AGENT, "point")]
    assert read(here)[1]["value"] == 'ä\n"\\u0000\x00'


def test_a_record_that_is_committed_late_is_not_missed(a_host: AHost, late: psycopg.Connection[Any]) -> None:
    begin(here := a_host("here"))
    append_late(late, 7)
    intend(here, 8)
    assert fences(here) == [8]  # it has a higher number, and is visible first

    late.commit()

    assert fences(here) == [8, 7]
    assert fences(a_host("there")) == [7, 8]
    assert here.known(AGENT) == JournalHead("e1", 8)


def test_an_epoch_comes_after_every_record_that_was_under_way(a_host: AHost, late: psycopg.Connection[Any]) -> None:
    """Otherwise its reader would take an intent that was sent for one of an epoch that was over."""
    begin(here := a_host("here"))
    append_late(late, 7)
    with ThreadPoolExecutor(1) as pool:
        fresh = pool.submit(begin, a_host("there"), "e2", 7)
        until(lambda: waits_for_a_lock(here), what="the epoch to wait")
        assert not fresh.done()

        late.commit()
        fresh.result(20)

    assert [record["event"] for record in read(here)] == ["epoch", "intent", "epoch"]


def waits_for_a_lock(journal: SharedJournal) -> bool:
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    row = journal.database.run(lambda connection: connection.execute(query).fetchone())
    return bool(row and row[0])


def test_records_of_many_threads_and_processes_are_all_there_once(a_host: AHost) -> None:
    journals = [a_host("here"), a_host("here"), a_host("there")]  # two processes share one copy
    begin(journals[0])

    def work(fence: int) -> None:
        journal = journals[fence % 3]
        intend(journal, fence, sync=fence % 2 == 0)
        known = journal.known(AGENT)
        assert known
        assert known.fence >= fence

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(work, range(1, 241)))

    for journal in journals:
        assert sorted(fences(journal)) == list(range(1, 241))


def test_the_first_processes_of_many_hosts_make_the_table_together(a_host: AHost) -> None:
    def work(number: int) -> None:
        intend(a_host(f"host{number}"), number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))

    assert sorted(fences(a_host("here"))) == list(range(8))


def test_a_forked_child_has_connections_of_its_own(a_host: AHost, tmp_path: Path, journal_url: str) -> None:
    begin(here := a_host("here"))
    child = os.fork()
    if not child:
        try:
            intend(SharedJournal(tmp_path / "here" / "journal", journal_url), 1)
        finally:
            os._exit(0)
    os.waitpid(child, 0)

    intend(here, 2)

    assert fences(here) == [1, 2]


def test_lines_that_a_killed_process_copied_are_not_copied_twice(a_host: AHost) -> None:
    begin(here := a_host("here"))
    [file] = here.files()
    intend(here, 1)
    [row] = here.database.run(
        lambda connection: connection.execute("SELECT line FROM gatehouse_journal WHERE event = 'intent'").fetchall()
    )
    with file.open("a") as copy:  # it was killed before it said how far it was
        copy.write(f"{row[0]}\n")

    intend(here, 2)

    assert fences(here) == [1, 2]
    assert fences(a_host("here")) == [1, 2]
    [same] = here.files()
    assert same == file


def test_a_process_that_is_stopped_in_its_reading_stops_no_other(
    a_host: AHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(here := a_host("here"))
    intend(here, 1)
    [file] = here.files()
    monkeypatch.setattr(host_copy, "PATIENCE", 0.1)
    with lock_file(file.parents[1] / ".lock", wait=0):
        assert here.known(AGENT) == JournalHead("e1", 1)
        intend(here, 2)
        assert fences(here) == [1, 2]


@pytest.mark.parametrize("what", ["removed", "cut", "of another boot", "without a state"])
def test_a_copy_that_cannot_be_trusted_is_made_anew(a_host: AHost, what: str) -> None:
    begin(here := a_host("here"))
    intend(here, 1)
    [file] = here.files()
    state = file.parents[1] / ".state"
    match what:
        case "removed":
            file.unlink()
        case "cut":
            file.write_bytes(file.read_bytes()[:-9])
        case "without a state":
            state.unlink()
        case _:
            found = CopyState.read(state.parent)
            assert found
            replace(found, boot="another").write(state.parent)

    assert here.known(AGENT) == JournalHead("e1", 1)
    assert fences(here) == fences(a_host("here")) == [1]
    assert file.parent not in {each.parent for each in here.files()}


def test_a_copy_that_another_process_made_after_the_folder_was_removed_is_left_alone(
    a_host: AHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person removes the folder while one process makes a copy; the lock that it holds is then of a file that is gone."""
    begin(here := a_host("here"))
    intend(here, 1)
    [file] = here.files()
    file.write_bytes(file.read_bytes()[:-9])
    other = a_host("here")

    def removed_meanwhile(*_: object) -> bool:
        monkeypatch.undo()
        shutil.rmtree(file.parents[1])
        assert fences(other) == [1]
        return False

    monkeypatch.setattr(host_copy, "put_back", removed_meanwhile)
    here.copy.update()

    assert other.copy.current.exists()
    assert fences(here) == fences(other) == [1]


def test_a_month_begins_a_file_with_what_was_known(a_host: AHost, postgres_server: Postgres, database: str) -> None:
    begin(here := a_host("here"))
    postgres_server.sql(
        "CREATE TABLE old PARTITION OF gatehouse_journal FOR VALUES FROM ('2020-02-01Z') TO ('2020-03-01Z')", database
    )
    postgres_server.sql(
        "WITH old AS (DELETE FROM gatehouse_journal RETURNING agent, event, line) INSERT INTO gatehouse_journal "
        "(at, host, agent, event, line) SELECT '2020-02-09Z', 'here', agent, event, line FROM old",
        database,
    )
    intend(here, 1)
    there = a_host("there")

    old, now = there.files()

    assert old.name == "2020-02.jsonl"
    assert [record["event"] for record in records.read(now) if isinstance(record, dict)] == ["checkpoint", "intent"]
    assert there.known(AGENT) == JournalHead("e1", 1)


def test_a_missing_partition_is_made(a_host: AHost, postgres_server: Postgres, database: str) -> None:
    begin(here := a_host("here"))
    [(now,)] = postgres_server.sql("SELECT 'gatehouse_journal_' || to_char(now(), 'YYYY_MM')", database)
    postgres_server.sql(f"DROP TABLE {now}", database)

    intend(here, 1)

    assert postgres_server.sql(f"SELECT count(*) FROM {now}", database) == [(1,)]


def test_a_table_of_a_newer_version_is_refused(a_host: AHost, postgres_server: Postgres, database: str) -> None:
    begin(a_host("here"))
    postgres_server.sql("UPDATE gatehouse_about SET format = 2", database)

    with pytest.raises(NewerFormat, match="format 2"):
        a_host("there").known(AGENT)


def test_one_lock_is_for_all_hosts(a_host: AHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "PATIENCE", 0.2)
    with (
        a_host("here").exclusive(),
        pytest.raises(JournalUnavailable, match="another process compares"),
        a_host("there").exclusive(),
    ):
        raise AssertionError("two hosts hold it")

    with a_host("there").exclusive():
        intend(a_host("here"), 1)  # writing goes on


def test_a_lock_that_somebody_keeps_is_waited_for_once(a_host: AHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder may be stopped, and each agent asks for itself."""
    monkeypatch.setattr(databases, "PATIENCE", 1.0)
    there = a_host("there")
    with a_host("here").exclusive(), within(4):
        for _ in range(30):
            with pytest.raises(JournalUnavailable, match="another process compares"), there.exclusive():
                raise AssertionError("two hosts hold it")

    with there.exclusive():
        pass


def test_a_snapshot_before_all_sees_everything(a_host: AHost) -> None:
    begin(here := a_host("here"))

    assert len(here.database.run(rows.new, NOTHING_SEEN).rows) == 1
