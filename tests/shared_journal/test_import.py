"""The files of a machine move into the table: each record once, compared by count and digest."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from state.errors import JournalUnavailable
from state.journal.heads import JournalHead
from state.journal.journal import Journal
from state.journal.shared.imports import ImportedFile, NotImported, import_files
from state.journal.shared.shared_journal import SharedJournal
from tests.harness.postgres import Postgres
from tests.shared_journal.conftest import AHost
from tests.shared_journal.test_append_and_read import AGENT, an_intent, fences


def a_machine(tmp_path: Path, name: str, epoch: str, *numbers: int) -> Journal:
    """A journal in files, as a machine has it that shared none."""
    journal = Journal(tmp_path / name / "journal")
    journal.append("epoch", {"agent": AGENT, "epoch": epoch, "fence": 0}, sync=True)
    for fence in numbers:
        journal.append("intent", an_intent(fence, epoch), sync=True)
    return journal


def moved(journal: SharedJournal, *, skip_damaged: bool = False) -> list[ImportedFile]:
    return import_files(journal.database, journal.copy, journal.folder, journal.host, skip_damaged=skip_damaged)


def test_files_that_are_not_in_the_table_close_effects(tmp_path: Path, a_host: AHost) -> None:
    a_machine(tmp_path, "here", "e1", 1)
    here = a_host("here")

    with pytest.raises(JournalUnavailable, match="journal import"):
        here.known(AGENT)
    with pytest.raises(JournalUnavailable, match="journal import"):
        here.append("probe", {}, sync=True)

    moved(a_host("here"))

    assert here.known(AGENT) == JournalHead("e1", 1)


def test_the_table_has_the_lines_of_the_file(
    tmp_path: Path, a_host: AHost, postgres_server: Postgres, database: str
) -> None:
    [file] = a_machine(tmp_path, "here", "e1", 1, 2).files()

    [report] = moved(a_host("here"))

    lines = postgres_server.sql("SELECT line FROM gatehouse_journal ORDER BY seq", database)
    assert "".join(f"{line}\n" for (line,) in lines) == file.read_text()
    assert (report.records, report.known) == (4, 0)  # a checkpoint, an epoch and two intents
    assert report.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_an_import_can_be_repeated_and_continued(tmp_path: Path, a_host: AHost) -> None:
    machine = a_machine(tmp_path, "here", "e1", 1)
    moved(a_host("here"))

    [again] = moved(a_host("here"))
    assert (again.records, again.known) == (0, 3)

    machine.append("intent", an_intent(2), sync=True)
    with pytest.raises(JournalUnavailable, match="journal import"):
        a_host("here").known(AGENT)
    [more] = moved(a_host("here"))

    assert (more.records, more.known) == (1, 3)
    assert a_host("here").known(AGENT) == JournalHead("e1", 2)
    assert fences(a_host("there")) == [1, 2]


def test_a_second_machine_keeps_the_epochs_of_its_intents(tmp_path: Path, a_host: AHost) -> None:
    """Its oldest file is gone, so that only a checkpoint names the epoch."""
    from state.journal.projector import project

    a_machine(tmp_path, "here", "e1", 1)
    other = a_machine(tmp_path, "there", "e9", 3)
    [first] = other.files()
    first.rename(first.with_name("2020-01.jsonl"))
    Journal(other.folder).append("intent", an_intent(4, "e9"), sync=True)
    (other.folder / "2020-01.jsonl").unlink()
    moved(a_host("here"))

    moved(a_host("there"))

    there = a_host("there")
    assert there.known(AGENT) == JournalHead("e1", 4)  # a lower fence in Redis is noticed
    assert {key: state.state for (_, key), state in project(there.files()).keys.items()} == {
        "k1": "unknown",
        "k4": "unknown",
    }


def test_a_torn_record_is_left_out_and_a_damaged_one_stops_it(tmp_path: Path, a_host: AHost) -> None:
    [file] = a_machine(tmp_path, "here", "e1", 1, 2).files()
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b'"k1"', b'"kX"') + b'{"at":"2026')

    with pytest.raises(NotImported, match="line 3: damaged"):
        moved(a_host("here"))
    assert a_host("there").known(AGENT) is None

    [report] = moved(a_host("here"), skip_damaged=True)

    assert report.records == 3
    assert len(report.skipped) == 2
    assert fences(a_host("here")) == [2]


def test_a_compressed_file_is_imported_once(tmp_path: Path, a_host: AHost) -> None:
    [file] = a_machine(tmp_path, "here", "e1", 1).files()
    moved(a_host("here"))
    packed = file.with_name(f"{file.name}.gz")
    packed.write_bytes(gzip.compress(file.read_bytes()))
    file.unlink()

    [report] = moved(a_host("here"))

    assert (report.records, report.known) == (0, 3)
    assert fences(a_host("here")) == [1]


def test_a_file_that_was_changed_is_refused(tmp_path: Path, a_host: AHost) -> None:
    [file] = a_machine(tmp_path, "here", "e1", 1, 2).files()
    moved(a_host("here"))
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:-2], *lines[:-3:-1]]))

    with pytest.raises(NotImported, match="was changed since it was imported"):
        moved(a_host("here"))
