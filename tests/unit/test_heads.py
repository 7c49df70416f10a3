"""How far the journal reaches, as every process sees it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from state.journal import folder_watch, heads, records
from state.journal.heads import HeadReader, JournalHead
from state.journal.records import Record
from tests.harness import until

Write = Callable[..., None]


@pytest.fixture(autouse=True, params=["of a folder that just changed", "of a folder that is settled"])
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test reads the heads of both; the second kind waits before each look for longer than the kernel's clock is coarse."""
    if "settled" in request.param:
        follow = HeadReader._follow

        def follow_later(self: HeadReader) -> None:
            time.sleep(0.03)
            follow(self)

        monkeypatch.setattr(folder_watch, "SETTLED", 0.02)
        monkeypatch.setattr(HeadReader, "_follow", follow_later)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def write(folder: Path) -> Write:
    """Append one record to the file of a month."""

    def append(event: str, month: str = "2026-11", **fields: object) -> None:
        folder.mkdir(exist_ok=True)
        which = {"agent": "clerk"} if event != "checkpoint" else {}
        with (folder / f"{month}.jsonl").open("ab") as file:
            file.write(records.encode(event, which | fields))

    return append


def intent(write: Write, fence: int, epoch: str = "e1", month: str = "2026-11", **more: object) -> None:
    write("intent", month, key=f"k{fence}", call=f"c{fence}", fence=fence, epoch=epoch, **more)


def test_nothing_is_known_of_an_agent_that_never_had_an_effect(folder: Path, write: Write) -> None:
    seen = HeadReader(folder)
    assert seen.head("clerk") is None

    write("registered", key="k", call="c")
    write("carried over", key="k", call="c", fence=3)
    intent(write, 4)  # the journal was removed while it was on its way

    assert seen.head("clerk") is None
    assert seen.heads() == {}


def test_what_others_append_is_followed(folder: Path, write: Write) -> None:
    seen = HeadReader(folder)
    write("epoch", epoch="e1", fence=0)
    assert seen.head("clerk") == JournalHead("e1", 0)

    intent(write, 5)
    intent(write, 4)
    assert seen.head("clerk") == JournalHead("e1", 5)

    write("epoch", epoch="e2", fence=5)
    assert seen.head("clerk") == JournalHead("e2", 5)
    assert HeadReader(folder).head("clerk") == JournalHead("e2", 5)


def test_only_what_is_new_is_read(folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("epoch", epoch="e1", fence=0)
    for fence in range(1, 100):
        intent(write, fence)
    seen = HeadReader(folder)
    seen.head("clerk")
    read: list[bytes] = []
    original = records.decode_header

    def counted(line: bytes) -> Record:
        read.append(line)
        return original(line)

    monkeypatch.setattr(records, "decode_header", counted)

    intent(write, 100)

    assert seen.head("clerk") == JournalHead("e1", 100)
    assert len(read) == 1


def test_agents_are_kept_apart(folder: Path, write: Write) -> None:
    write("epoch", epoch="e1", fence=3)
    write("epoch", agent="crier", epoch="f1", fence=9)

    assert HeadReader(folder).head("clerk") == JournalHead("e1", 3)
    assert HeadReader(folder).head("crier") == JournalHead("f1", 9)
    assert sorted(HeadReader(folder).heads()) == ["clerk", "crier"]


def test_an_intent_that_comes_late_does_not_bring_its_epoch_back(folder: Path, write: Write) -> None:
    """A worker claims, `gate recover` begins another epoch, and then the worker writes its intent, which it never sends."""
    write("epoch", epoch="e1", fence=0)
    seen = HeadReader(folder)
    assert seen.head("clerk") == JournalHead("e1", 0)
    write("epoch", epoch="e2", fence=0)
    intent(write, 1, epoch="e1")

    assert seen.head("clerk") == JournalHead("e2", 0)
    assert HeadReader(folder).head("clerk") == JournalHead("e2", 0)


def test_a_checkpoint_that_comes_late_does_not_bring_its_epoch_back(folder: Path, write: Write) -> None:
    write("epoch", epoch="e1", fence=2)
    write("checkpoint", "2026-12", known={"clerk": ["e1", 2]})
    write("epoch", "2026-12", epoch="e2", fence=2)
    write("checkpoint", "2026-12", known={"clerk": ["e1", 2]})

    assert HeadReader(folder).head("clerk") == JournalHead("e2", 2)


def test_the_words_of_a_payload_say_nothing(folder: Path, write: Write) -> None:
    write("epoch", epoch="e1", fence=0)
    intent(write, 1, payload={"event": "epoch", "agent": "clerk", "epoch": "stolen", "fence": 99, "known": {}})
    write("point", key="k", call="c", fence=1, name="x", value='{"event":"epoch"}')
    write("outcome", key="k", call="c", fence=1, outcome="done", result={"event": "checkpoint"})

    assert HeadReader(folder).head("clerk") == JournalHead("e1", 1)


def test_a_record_is_not_taken_before_it_is_whole(folder: Path, write: Write) -> None:
    write("epoch", epoch="e1", fence=0)
    intent(write, 1)
    seen = HeadReader(folder)
    line = records.encode("intent", {"agent": "clerk", "key": "k", "call": "c", "fence": 2, "epoch": "e1"})
    with (folder / "2026-11.jsonl").open("ab", buffering=0) as file:
        for byte in line[:-1]:
            file.write(bytes([byte]))
            assert seen.head("clerk") == JournalHead("e1", 1)
        file.write(b"\n")

    assert seen.head("clerk") == JournalHead("e1", 2)


def test_a_torn_line_hides_nothing_behind_it(folder: Path, write: Write) -> None:
    write("epoch", epoch="e1", fence=0)
    intent(write, 1)
    seen = HeadReader(folder)
    seen.head("clerk")
    line = records.encode("intent", {"agent": "clerk", "key": "k", "call": "c", "fence": 8, "epoch": "e1"})
    with (folder / "2026-11.jsonl").open("ab") as file:
        file.write(line[:70])
    intent(write, 2)

    assert seen.head("clerk") == JournalHead("e1", 2)


def test_lines_longer_than_a_piece_are_read_whole(folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("epoch", epoch="e1", fence=0)
    for fence in range(1, 8):
        intent(write, fence, payload="x" * 50 * fence)
    for size in (1, 7, 100, 300, 1000, 100_000):
        monkeypatch.setattr(heads, "PIECE", size)

        assert HeadReader(folder).head("clerk") == JournalHead("e1", 7), size


def test_a_new_months_file_is_followed_however_soon_it_comes(folder: Path, write: Write) -> None:
    """Within one tick of the file system's clock the folder's own date does not change."""
    for number in range(200):
        seen = HeadReader(folder)
        write("epoch", epoch="e1", fence=1)
        dates = folder.stat()
        assert seen.head("clerk") == JournalHead("e1", 1)
        intent(write, 2, month="2026-12")
        os.utime(folder, ns=(dates.st_atime_ns, dates.st_mtime_ns))

        assert seen.head("clerk") == JournalHead("e1", 2), number
        shutil.rmtree(folder)


def test_an_agent_that_was_silent_for_months_is_not_forgotten(folder: Path, write: Write) -> None:
    """Not even if the checkpoint of a later file is torn, because the disk was full when the month began."""
    write("epoch", "2026-01", epoch="e1", fence=0)
    intent(write, 7, month="2026-01")
    write("epoch", "2026-02", agent="crier", epoch="e1", fence=0)
    for month in ("2026-02", "2026-03", "2026-04", "2026-05"):
        intent(write, 1, month=month, agent="crier")
    seen = HeadReader(folder)

    assert seen.head("clerk") == JournalHead("e1", 7)
    assert seen.head("crier") == JournalHead("e1", 1)


def test_months_with_a_checkpoint_are_not_read_again(
    folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    for month in range(1, 10):
        write("checkpoint", f"2026-0{month}", known={"clerk": ["e1", month]})
        intent(write, month, month=f"2026-0{month}")
    opened: list[str] = []
    original = Path.open

    def counted(self: Path, mode: str) -> object:
        opened.append(self.name)
        return original(self, mode)

    monkeypatch.setattr(Path, "open", counted)

    assert HeadReader(folder).head("clerk") == JournalHead("e1", 9)
    assert set(opened) == {"2026-08.jsonl", "2026-09.jsonl"}


@pytest.mark.parametrize("how", ["removed", "replaced", "made anew"])
def test_a_journal_that_is_gone_is_forgotten(folder: Path, write: Write, how: str) -> None:
    write("epoch", epoch="e1", fence=0)
    intent(write, 9)
    seen = HeadReader(folder)
    assert seen.head("clerk") == JournalHead("e1", 9)
    shutil.rmtree(folder)
    if how == "replaced":
        write("epoch", "2026-12", epoch="e7", fence=1)
    elif how == "made anew":  # before this process looked, and under the same name
        write("checkpoint", known={})

    assert seen.head("clerk") == (JournalHead("e7", 1) if how == "replaced" else None)


def test_a_file_that_an_older_copy_took_the_place_of_is_read_anew(folder: Path, write: Write, tmp_path: Path) -> None:
    write("epoch", epoch="e1", fence=0)
    intent(write, 1)
    shutil.copytree(folder, tmp_path / "copy")
    intent(write, 2)
    seen = HeadReader(folder)
    assert seen.head("clerk") == JournalHead("e1", 2)
    (tmp_path / "copy" / "2026-11.jsonl").replace(folder / "2026-11.jsonl")
    write("epoch", epoch="e3", fence=2)

    assert seen.head("clerk") == JournalHead("e3", 2)


def test_many_threads_may_ask_at_once(folder: Path, write: Write) -> None:
    write("epoch", epoch="e1", fence=0)
    for fence in range(1, 500):
        intent(write, fence)
    seen = HeadReader(folder)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: seen.head("clerk"), range(64)))

    assert set(answers) == {JournalHead("e1", 499)}


def test_an_unchanged_folder_is_not_listed_again(folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_watch, "SETTLED", 0.02)
    seen, list_files = HeadReader(folder), HeadReader._files
    listed = 0

    def count_and_list(self: HeadReader) -> list[str]:
        nonlocal listed
        listed += 1
        return list_files(self)

    def lists_nothing() -> bool:
        before = listed
        return seen.head("clerk") is not None and listed == before

    monkeypatch.setattr(HeadReader, "_files", count_and_list)
    write("epoch", epoch="e1", fence=0)
    until(lists_nothing, what="a look without a list")

    intent(write, 5)
    assert lists_nothing()
    assert seen.head("clerk") == JournalHead("e1", 5)

    intent(write, 6, month="2026-12")
    assert not lists_nothing()
    assert seen.head("clerk") == JournalHead("e1", 6)


@pytest.mark.parametrize("how", ["the folder is replaced", "a file is replaced", "a file is added"])
def test_a_folder_whose_time_was_put_back_is_listed_again(
    folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(folder_watch, "SETTLED", 0.02)
    write("epoch", epoch="e1", fence=0)
    seen, before = HeadReader(folder), folder.stat()
    until(lambda: seen.head("clerk") and seen._watch.is_unchanged(), what="a folder that is settled")

    if how == "the folder is replaced":
        folder.rename(folder.with_name("old"))
        shutil.copytree(folder.with_name("old"), folder)
        intent(write, 5)
    elif how == "a file is replaced":
        os.link(folder / "2026-11.jsonl", folder.with_name("link"))
        shutil.copy2(folder / "2026-11.jsonl", folder / "copy")
        (folder / "copy").replace(folder / "2026-11.jsonl")
        intent(write, 5)
    else:
        intent(write, 5, month="2026-12")
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert seen.head("clerk") == JournalHead("e1", 5)


def test_a_file_that_cannot_be_read_any_more_is_opened_again(
    folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_watch, "SETTLED", 0.02)
    write("epoch", epoch="e1", fence=0)
    seen = HeadReader(folder)
    until(lambda: seen.head("clerk") and seen._watch.is_unchanged(), what="a folder that is settled")
    [file] = seen._open.values()
    elsewhere = os.open(folder, os.O_RDONLY)
    os.dup2(elsewhere, file.descriptor)  # of a folder, which cannot be read as a file
    os.close(elsewhere)

    intent(write, 5)

    assert seen.head("clerk") == JournalHead("e1", 5)
