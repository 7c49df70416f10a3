"""Old months without what nobody will ask for again: the journal says the same in fewer bytes."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settings import ROOT
from state.errors import JournalUnavailable
from state.journal import compact as module
from state.journal import records
from state.journal.compact import CompactionReport, compact
from state.journal.journal import Journal
from state.journal.projection import Projection, RecordOffset, project

pytestmark = pytest.mark.slow

MONTHS = ("2026-01", "2026-02", "2026-03", "2026-04", "2026-05")
OLD = MONTHS[:3]
LEDGER_DAYS = 45
AGENT = "clerk"


@pytest.fixture(autouse=True)
def in_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "datetime", Calendar)


class Calendar(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        return datetime(2026, 5, 20, tzinfo=tz)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


class Book:
    """A journal of five months, written by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = Journal(folder)
        for month in MONTHS:
            self.path(month).touch()
        self.write(MONTHS[0], "epoch", agent=AGENT, epoch="e1", fence=0)

    def path(self, month: str) -> Path:
        return self.folder / f"{month}.jsonl"

    def write(self, month: str, event: str, **fields: Any) -> None:
        with self.path(month).open("ab") as file:
            file.write(records.encode(event, fields))

    def tell(self, month: str, event: str, key: str, call: str, **fields: Any) -> None:
        self.write(month, event, agent=AGENT, key=key, call=call, **fields)

    def registered(self, month: str, key: str, call: str) -> None:
        self.tell(month, "registered", key, call, task="clerk.post", kwargs={}, fingerprint="f", door="beat")

    def intent(self, month: str, key: str, call: str, fence: int, epoch: str = "e1") -> None:
        asked = {"task": "clerk.post", "kwargs": {"n": fence}, "fingerprint": "f", "door": "beat", "owner": "o/1"}
        payload = {"text": f"the text of {key} " * 20}
        self.tell(
            month, "intent", key, call, fence=fence, epoch=epoch, verify={"every_ms": 1}, payload=payload, **asked
        )

    def done(self, month: str, key: str, call: str, fence: int) -> None:
        """The whole life of one effect."""
        self.registered(month, key, call)
        self.intent(month, key, call, fence)
        self.outcome(month, key, call, fence, "done", result={"result": {"id": fence}, "rung": None})

    def outcome(
        self, month: str, key: str, call: str, fence: int, outcome: str, epoch: str = "e1", **more: Any
    ) -> None:
        self.tell(month, "outcome", key, call, fence=fence, epoch=epoch, outcome=outcome, **more)

    def compact(self) -> CompactionReport:
        return compact(self.journal, LEDGER_DAYS)

    def bytes(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.journal.files()}

    def events(self, month: str) -> list[str]:
        return [found["event"] for found in records.read(self.path(month)) if isinstance(found, dict)]


@pytest.fixture
def book(folder: Path) -> Book:
    return Book(folder)


def at(files: list[Path], place: RecordOffset | None) -> dict[str, Any] | None:
    if place is None:
        return None
    line = files[place.file].read_bytes()[place.offset :].partition(b"\n")[0]
    return next(records.decode_all(line))


def meaning(files: list[Path]) -> dict[str, Any]:
    """All that a recovery takes from a journal, but for the payloads of what is done and keys that were given up."""
    whole = project(files)
    keys = {name: about(files, whole, name) for name, each in whole.keys.items() if each.state != "rejected"}
    calls = {name: (key, at(files, place)) for name, (key, place) in whole.calls.items()}
    return {"keys": keys, "calls": calls, "fences": whole.fences, "epochs": whole.epochs}


def states(files: list[Path]) -> dict[str, Any]:
    """What may run, what may not, and what is counted on from where."""
    whole = project(files)
    keys = {
        name: (each.state, None if each.state == "done" else each.fence)  # done is done, whichever attempt it was
        for name, each in whole.keys.items()
        if each.state != "rejected"
    }
    return {"keys": keys, "calls": whole.calls.keys(), "fences": whole.fences, "epochs": whole.epochs}


def about(files: list[Path], whole: Projection, name: tuple[str, str]) -> Any:
    standing = whole.keys[name]
    asked = at(files, standing.intent) or {}
    is_done = standing.state == "done"
    if is_done:
        asked = {field: value for field, value in asked.items() if field not in {"payload", "verify"}}
    points = None if is_done else whole.points.get(name)
    return standing.state, standing.fence, standing.call, standing.why, asked, at(files, standing.outcome), points


EVENTS = st.tuples(
    st.sampled_from(
        [
            "registered", "intent", "intent", "late intent", "done", "done", "unknown", "failed", "given up", "absent",
            "point", "applied", "not-applied", "cancel", "rejected", "cancelled", "replayed", "epoch", "carried over",
        ]
    ),
    st.integers(1, 3),  # key
    st.integers(1, 4),  # call
    st.integers(1, 5),  # fence
)  # fmt: skip


ENDED = {"rejected": "rejected", "cancelled": "cancelled", "replayed": "done"}
RESOLVED = ("applied", "not-applied", "cancel")
OUTCOMES: dict[str, dict[str, Any]] = {
    "done": {"outcome": "done", "result": {"result": 1, "rung": None}},
    "unknown": {"outcome": "unknown", "error": "reset"},
    "failed": {"outcome": "failed", "retry": True},
    "given up": {"outcome": "failed", "retry": False},
}


def tell(book: Book, month: str, what: str, key: str, call: str, fence: int, epoch: int) -> None:
    """One event, however unlikely where it stands."""
    asked = {"task": "clerk.post", "kwargs": {}, "fingerprint": "f", "door": "", "fence": fence}
    if what == "registered":
        book.registered(month, key, call)
    elif what in {"intent", "late intent"}:
        book.intent(month, key, call, fence, f"e{epoch - (what == 'late intent')}")
    elif what in OUTCOMES:
        book.outcome(month, key, call, fence, epoch=f"e{epoch}", **OUTCOMES[what])
    elif what in RESOLVED:
        book.tell(month, "resolved", key, call, how=what, by="ada", why="I looked", **asked)
    elif what in ENDED:
        book.tell(month, "ended", key, call, state=ENDED[what])
    elif what == "epoch":
        book.write(month, "epoch", agent=AGENT, epoch=f"e{epoch}", fence=fence)
    else:
        more = {"absent": {}, "point": {"name": f"n{fence}", "value": call}, "carried over": {"payload": "x"}}[what]
        book.tell(month, what, key, call, **asked, **more)


@settings(max_examples=300, deadline=None)
@given(lives=st.lists(st.tuples(st.sampled_from(MONTHS), EVENTS), max_size=40))
def test_a_compacted_journal_says_the_same_also_half_way(lives: list[tuple[str, tuple[str, int, int, int]]]) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "datetime", Calendar)
        book = Book(Path(name))
        epoch = 1
        for month, (what, key, call, fence) in sorted(lives, key=lambda life: life[0]):
            epoch += what == "epoch"
            tell(book, month, what, f"k{key}", f"k{key}c{call}", fence, epoch)  # a call has one key
        paths, files = book.journal.files(), book.bytes()
        meant, stood = meaning(paths), states(paths)

        book.compact()

        assert meaning(paths) == meant
        after = book.bytes()
        for half_way in range(1, len(OLD)):
            for number, path in enumerate(paths):
                path.write_bytes((after if number < half_way else files)[path.name])
            assert states(paths) == stood, half_way


def test_done_effects_keep_their_result_and_lose_their_payload(book: Book) -> None:
    for fence in range(1, 101):
        book.done(MONTHS[0], f"k{fence}", f"c{fence}", fence)

    report = book.compact()

    assert report.files == [f"{month}.jsonl" for month in OLD]
    assert report.bytes_after < report.bytes_before / 2
    assert book.events(MONTHS[0]) == ["epoch"] + ["intent", "outcome"] * 100
    found = [record for record in records.read(book.path(MONTHS[0])) if isinstance(record, dict)]
    assert found[1]["payload"] is None
    assert "verify" not in found[1]
    assert found[2]["result"] == {"result": {"id": 1}, "rung": None}


def test_what_is_not_over_keeps_every_word(book: Book) -> None:
    book.registered(MONTHS[0], "open", "c1")
    book.intent(MONTHS[0], "doubt", "c2", 1)
    book.tell(MONTHS[0], "point", "doubt", "c2", fence=1, name="container", value="17")
    book.outcome(MONTHS[0], "doubt", "c2", 1, "unknown", error="reset")
    book.intent(MONTHS[1], "retried", "c3", 2)
    book.outcome(MONTHS[1], "retried", "c3", 2, "failed", retry=True)
    before = book.bytes()

    book.compact()

    assert book.bytes() == before


def test_calls_that_ended_and_keys_that_were_given_up_long_ago_go(book: Book) -> None:
    book.registered(MONTHS[0], "refused", "c1")
    book.tell(MONTHS[1], "ended", "refused", "c1", state="rejected")
    book.intent(MONTHS[0], "given up", "c2", 4)
    book.outcome(MONTHS[1], "given up", "c2", 4, "failed", retry=False)

    book.compact()

    assert [book.events(month) for month in OLD] == [["epoch", "checkpoint"], [], []]
    assert project(book.journal.files()).fences == {AGENT: 4}


def test_what_was_written_to_try_the_disk_goes(book: Book) -> None:
    book.write(MONTHS[1], "probe")

    book.compact()

    assert book.events(MONTHS[1]) == []


def test_a_month_of_another_machine_grows_old_with_ours(book: Book) -> None:
    copy = f"{MONTHS[0]}-web2"
    book.intent(copy, "k", "c", 1)
    book.outcome(copy, "k", "c", 1, "done")
    before = len(book.path(copy).read_bytes())

    report = book.compact()

    assert report.files == [f"{copy}.jsonl", *(f"{month}.jsonl" for month in OLD)]
    assert len(book.path(copy).read_bytes()) < before


def test_a_key_that_was_given_up_lately_stays(book: Book) -> None:
    book.intent(MONTHS[0], "k", "c", 1)
    book.outcome(MONTHS[3], "k", "c", 1, "failed", retry=False)

    book.compact()

    assert project(book.journal.files()).keys[AGENT, "k"].state == "rejected"


@pytest.mark.parametrize("month", MONTHS[3:])
def test_months_within_the_promise_are_left(book: Book, month: str) -> None:
    book.done(month, "k", "c", 1)
    before = book.path(month).read_bytes()

    book.compact()

    assert book.path(month).read_bytes() == before


def test_files_that_may_still_be_written_are_left_however_old(folder: Path) -> None:
    journal = Journal(folder)
    for name in ("2020-01.jsonl", "2020-02.jsonl"):
        (folder / name).write_bytes(records.encode("registered", {"agent": AGENT, "key": "k", "call": "c"}))

    assert compact(journal, 1) == CompactionReport()


def test_a_second_time_there_is_nothing_to_do_and_nothing_is_read(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    book.done(MONTHS[0], "k", "c", 1)
    book.compact()
    before = book.bytes()
    monkeypatch.setattr(module, "project", None)

    assert book.compact() == CompactionReport()
    assert book.bytes() == before


def test_without_the_note_of_the_first_time_the_second_changes_nothing(book: Book) -> None:
    book.done(MONTHS[0], "k", "c", 1)
    book.intent(MONTHS[0], "given up", "c2", 4)
    book.outcome(MONTHS[1], "given up", "c2", 4, "failed", retry=False)
    book.compact()
    before = book.bytes()
    (book.folder / ".compacted").unlink()

    book.compact()

    assert book.bytes() == before


def test_when_another_month_has_grown_old_all_are_compacted_again(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    book.registered(MONTHS[0], "k", "c")
    book.compact()
    assert book.events(MONTHS[0]) == ["epoch", "registered"]
    book.tell(MONTHS[3], "ended", "k", "c", state="cancelled")
    book.tell(MONTHS[3], "ended", "other", "c9", state="rejected")
    book.path("2026-06").touch()
    monkeypatch.setattr(Calendar, "now", classmethod(lambda _, tz: datetime(2026, 6, 20, tzinfo=tz)))

    book.compact()

    assert book.events(MONTHS[3]) == ["ended"]
    assert project(book.journal.files()).keys[AGENT, "k"].state == "cancelled"


def test_damage_is_told_and_nothing_is_touched(book: Book) -> None:
    book.done(MONTHS[0], "k", "c", 1)
    path = book.path(MONTHS[0])
    path.write_bytes(path.read_bytes().replace(b'"outcome":"done"', b'"outcome":"d0ne"'))
    before = book.bytes()

    assert book.compact().damaged == ["2026-01.jsonl, line 4: damaged"]

    assert book.bytes() == before
    assert book.compact() == CompactionReport()  # told once


def test_torn_lines_go(book: Book) -> None:
    with book.path(MONTHS[0]).open("ab") as file:
        file.write(b'{"at":"2026-01')
    book.intent(MONTHS[0], "k", "c", 1)

    assert book.compact().damaged == []

    assert project(book.journal.files()).damages == []
    assert book.events(MONTHS[0]) == ["epoch", "intent"]


def test_a_journal_that_would_say_something_else_is_left(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    book.done(MONTHS[0], "k", "c", 1)
    before = book.bytes()
    monkeypatch.setattr(module._Rules, "kept", lambda *_: None)

    with pytest.raises(RuntimeError, match="would not say the same"):
        book.compact()

    assert book.bytes() == before
    assert [path.name for path in book.folder.glob(".*tmp")] == []


def test_a_key_that_took_an_unusual_way_keeps_every_word(book: Book) -> None:
    """Its result could not be written down, but its call was answered with it later."""
    book.intent(MONTHS[0], "k", "c", 1)
    book.outcome(MONTHS[0], "k", "c", 1, "failed", retry=True)
    book.tell(MONTHS[0], "ended", "k", "c", state="done")
    book.done(MONTHS[0], "other", "c2", 2)

    book.compact()

    assert book.events(MONTHS[0]) == ["epoch", "intent", "outcome", "ended", "intent", "outcome"]
    assert project(book.journal.files()).keys[AGENT, "k"].state == "done"


def test_somebody_elses_file_is_left(book: Book) -> None:
    book.done(MONTHS[0], "k", "c", 1)
    (book.folder / "0000-copy.jsonl").write_bytes(b"")
    before = book.bytes()

    assert book.compact() == CompactionReport()
    assert book.bytes() == before


def test_while_a_recovery_is_at_work_nothing_moves(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    from state.journal import journal

    monkeypatch.setattr(journal, "PATIENCE", 0.1)
    book.done(MONTHS[0], "k", "c", 1)
    before = book.bytes()

    with Journal(book.folder).alone(), pytest.raises(JournalUnavailable):
        book.compact()

    assert book.bytes() == before
    assert book.compact().files


def test_only_one_process_is_at_it(book: Book) -> None:
    book.done(MONTHS[0], "k", "c", 1)

    with module._only_one(book.journal):
        assert book.compact() == CompactionReport()

    assert book.compact().files


def test_writers_and_readers_go_on_meanwhile(book: Book) -> None:
    for fence in range(1, 300):
        book.done(MONTHS[fence % 3], f"k{fence}", f"c{fence}", fence)
    stop, wrong = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            states = {standing.state for standing in project(book.journal.files()).keys.values()}
            if states - {"done"} and len(states) > 1:
                wrong.append(states)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    writer = Journal(book.folder)
    for number in range(50):
        writer.append("ended", {"agent": AGENT, "key": "x", "call": f"x{number}", "state": "done"}, sync=True)
        if number == 10:
            book.compact()
    stop.set()
    for reader in readers:
        reader.join(10)

    assert wrong == []
    assert sum(book.events(month).count("ended") for month in (*MONTHS, f"{datetime.now(UTC):%Y-%m}")) == 50


def test_who_has_an_old_file_open_reads_it_to_its_end(book: Book) -> None:
    book.done(MONTHS[0], "k", "c", 1)
    before = book.bytes()[f"{MONTHS[0]}.jsonl"]

    with book.path(MONTHS[0]).open("rb") as file:
        book.compact()
        assert file.read() == before


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from state.journal import compact
from state.journal.journal import Journal

class Calendar(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime(2026, 5, 20, tzinfo=tz)

compact.datetime = Calendar
left = int(sys.argv[2])

def step(frame, event, arg):
    global left
    if event in ("line", "return") and frame.f_code.co_filename == compact.__file__:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return step

sys.settrace(step)
compact.compact(Journal(Path(sys.argv[1])), 45)
"""


@pytest.fixture
def originals(book: Book, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small life in every old month."""
    for number, month in enumerate(OLD, 1):
        book.done(month, f"k{number}", f"c{number}", number)
    copy = tmp_path_factory.mktemp("originals") / "journal"
    shutil.copytree(book.folder, copy)
    return copy


def test_a_kill_at_any_moment_leaves_each_file_old_or_new(book: Book, originals: Path) -> None:
    before = meaning(book.journal.files())
    steps = 1
    while True:
        shutil.rmtree(book.folder)
        shutil.copytree(originals, book.folder)
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(book.folder), str(steps)], cwd=ROOT, timeout=30, check=False
        )
        assert meaning(book.journal.files()) == before, steps
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        book.compact()
        assert meaning(book.journal.files()) == before, steps
        assert not list(book.folder.glob(".*.tmp")), steps
        steps += 17
    assert steps > 200
