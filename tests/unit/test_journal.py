"""The journal on a real disk: many writers, kills, months, and disks that take nothing."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from structlog.testing import capture_logs

import settings
from state.errors import JournalUnavailable
from state.journal import events, heads, records
from state.journal import journal as module
from state.journal.journal import Journal
from state.journal.records import CorruptRecord, Record
from state.model import AttemptResult, Claim
from tests.harness import patient, until

#: Appends records of a size for ever, or so many, and says after each that it is safe.
WRITER = """
import sys
from pathlib import Path
from state.journal.journal import Journal
folder, name, size, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
journal, number = Journal(folder), 0
while number != count:
    number += 1
    fields = {"agent": "clerk", "key": name, "call": "c", "fence": number, "outcome": "done", "text": "x" * size}
    journal.append("outcome", fields, sync=True)
    print(number, flush=True)
"""

StartWriter = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def start_writer(folder: Path) -> Iterator[StartWriter]:
    started: list[subprocess.Popen[str]] = []

    def start(name: str, size: int = 200, count: int = -1) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", WRITER, str(folder), name, str(size), str(count)]
        started.append(subprocess.Popen(command, cwd=settings.ROOT, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for writer in started:
        writer.kill()
        writer.wait(10)
        if writer.stdout:
            writer.stdout.close()


class Calendar:
    """What the journal takes for the date."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.today = datetime(2026, 11, 30, 23, 59, tzinfo=UTC)
        monkeypatch.setattr(module, "datetime", self)

    def now(self, _: object) -> datetime:
        return self.today


@pytest.fixture
def calendar(monkeypatch: pytest.MonkeyPatch) -> Calendar:
    return Calendar(monkeypatch)


def note(journal: Journal, fence: int = 1, *, sync: bool = True, **more: Any) -> None:
    fields = {"agent": "clerk", "key": "k", "call": "c", "fence": fence, "epoch": "e1"}
    journal.append("intent", fields | more, sync=sync)


def everything(folder: Path) -> list[Record | CorruptRecord]:
    return [found for path in Journal(folder).files() for found in records.read(path)]


def fences(folder: Path, key: str = "k") -> list[int]:
    return [found["fence"] for found in everything(folder) if isinstance(found, dict) and found.get("key") == key]


def names(folder: Path) -> list[str]:
    return [path.name for path in Journal(folder).files()]


def test_a_record_can_be_read_as_soon_as_it_is_written(folder: Path) -> None:
    note(Journal(folder))

    assert fences(folder) == [1]


def test_a_record_that_is_promised_was_synced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_size))
    journal = Journal(folder)
    note(journal, 1)
    path = journal.files()[0]
    assert synced[-1] == path.stat().st_size

    note(journal, 2, sync=False)
    assert synced[-1] < path.stat().st_size

    note(journal, 3)
    assert synced[-1] == path.stat().st_size


def test_a_new_file_survives_a_power_cut_with_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(str(Path(f"/proc/self/fd/{fd}").readlink())))

    note(Journal(folder))

    assert {str(folder), str(folder.parent)} <= set(synced)


def test_threads_that_wait_for_the_disk_share_one_sync(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(folder)
    note(journal)
    first_is_in, go_on, count = threading.Event(), threading.Event(), [0]
    original = os.fsync

    def slow_fsync(fd: int) -> None:
        count[0] += 1
        if count[0] == 1:
            first_is_in.set()
            assert go_on.wait(10)
        original(fd)

    monkeypatch.setattr(os, "fsync", slow_fsync)
    with ThreadPoolExecutor(9) as pool:
        writing = [pool.submit(note, journal, 2)]
        assert first_is_in.wait(10)
        writing += [pool.submit(note, journal, fence) for fence in range(3, 11)]
        until(lambda: len(fences(folder)) == 10, what="all to be written")
        go_on.set()
        for each in writing:
            each.result(10)

    assert count[0] == 2


def test_many_processes_append_large_lines_at_once_and_none_is_torn(folder: Path, start_writer: StartWriter) -> None:
    sizes = {"small": (100, 60), "page": (5000, 40), "large": (300_000, 12), "huge": (1_200_000, 5)}
    writers = [start_writer(name, *what) for name, what in sizes.items()]

    assert [writer.wait(60) for writer in writers] == [0] * len(writers)

    assert not [found for found in everything(folder) if isinstance(found, CorruptRecord)]
    for name, (size, count) in sizes.items():
        mine = [found for found in everything(folder) if isinstance(found, dict) and found.get("key") == name]
        assert [found["fence"] for found in mine] == list(range(1, count + 1))
        assert {len(found["text"]) for found in mine} == {size}


def test_writers_that_are_killed_in_the_middle_lose_nothing_they_promised(
    folder: Path, start_writer: StartWriter
) -> None:
    """Seven are killed, at moments of their own, while another one goes on."""
    witness = start_writer("witness", 2000)
    promised: dict[str, int] = {}
    for number in range(7):
        victim = start_writer(f"victim{number}", 900_000)
        assert victim.stdout
        for _ in range(number + 1):
            last = int(victim.stdout.readline())
        victim.kill()
        last = max([last, *(int(text) for text in victim.stdout.read().split())])
        promised[f"victim{number}"] = last
    witness.kill()
    assert witness.stdout
    promised["witness"] = int(witness.stdout.read().split()[-1])

    found = everything(folder)
    for name, last in promised.items():
        kept = fences(folder, name)
        assert kept[:last] == list(range(1, last + 1)), name
        assert len(kept) <= last + 1
    assert all(damage.torn for damage in found if isinstance(damage, CorruptRecord))
    note(Journal(folder), 1, key="afterwards")
    assert fences(folder, "afterwards") == [1]


def test_a_writer_whose_file_grows_too_large_leaves_a_torn_line_that_hurts_nobody(folder: Path) -> None:
    """The file size limit cuts the write short, as a full disk does."""
    note(Journal(folder), 1)
    size = Journal(folder).files()[0].stat().st_size
    code = WRITER.replace(
        "import sys", f"import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({size + 90},) * 2)"
    )

    command = [sys.executable, "-c", code, str(folder), "k", "200", "1"]
    done = subprocess.run(command, cwd=settings.ROOT, capture_output=True, text=True, timeout=patient(30), check=False)

    assert done.returncode == 1
    assert "effects are closed until it can" in done.stderr
    assert Journal(folder).files()[0].stat().st_size == size + 90
    note(Journal(folder), 2)
    assert fences(folder) == [1, 2]
    assert [found.torn for found in everything(folder) if isinstance(found, CorruptRecord)] == [True]


def test_a_new_month_begins_a_new_file_with_what_is_known(folder: Path, calendar: Calendar) -> None:
    journal = Journal(folder)
    journal.append("epoch", {"agent": "clerk", "epoch": "e1", "fence": 0}, sync=True)
    note(journal, 7)
    calendar.today = datetime(2026, 12, 1, tzinfo=UTC)
    note(journal, 8)

    assert names(folder) == ["2026-11.jsonl", "2026-12.jsonl"]
    first, second = (found for found in records.read(folder / "2026-12.jsonl") if isinstance(found, dict))
    assert (first["event"], first["known"]) == ("checkpoint", {"clerk": ["e1", 7, ""]})
    assert second["fence"] == 8


def test_a_clock_that_is_set_back_changes_nothing(folder: Path, calendar: Calendar) -> None:
    calendar.today = datetime(2027, 1, 2, tzinfo=UTC)
    note(Journal(folder), 1)
    calendar.today = datetime(2026, 12, 30, tzinfo=UTC)
    note(Journal(folder), 2)
    running = Journal(folder)
    note(running, 3)
    calendar.today = datetime(2026, 10, 1, tzinfo=UTC)
    note(running, 4)

    assert names(folder) == ["2027-01.jsonl"]
    assert fences(folder) == [1, 2, 3, 4]


@pytest.mark.parametrize("copy", ["web2.jsonl", "2026-11-web2.jsonl", "2027-web2.jsonl"])
def test_a_copy_from_another_machine_is_not_written_to(folder: Path, copy: str) -> None:
    folder.mkdir()
    (folder / copy).write_bytes(b"")

    note(Journal(folder), 1)

    assert (folder / copy).read_bytes() == b""
    assert fences(folder) == [1]


def test_a_process_that_kept_last_months_file_open_goes_over_to_the_new_one(folder: Path, calendar: Calendar) -> None:
    ahead, behind = Journal(folder), Journal(folder)
    note(behind, 1)
    calendar.today = datetime(2026, 12, 1, tzinfo=UTC)
    note(ahead, 2)
    note(behind, 3)

    assert [
        found["fence"]
        for found in records.read(folder / "2026-12.jsonl")
        if isinstance(found, dict) and "fence" in found
    ] == [2, 3]


@pytest.mark.parametrize("how", ["removed", "renamed", "replaced by an older copy"])
def test_a_folder_that_is_gone_is_made_anew_and_written_to(folder: Path, tmp_path: Path, how: str) -> None:
    journal = Journal(folder)
    note(journal, 1)
    shutil.copytree(folder, tmp_path / "copy")
    note(journal, 2)
    folder.rename(tmp_path / "aside") if how != "removed" else shutil.rmtree(folder)
    if how.startswith("replaced"):
        (tmp_path / "copy").rename(folder)

    note(journal, 3)

    assert fences(folder) == ([1, 3] if how.startswith("replaced") else [3])


def test_a_record_that_went_into_a_removed_file_is_not_promised(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(folder)
    note(journal)
    original = os.fsync

    def fsync_while_somebody_removes_the_folder(fd: int) -> None:
        shutil.rmtree(folder)
        original(fd)

    monkeypatch.setattr(os, "fsync", fsync_while_somebody_removes_the_folder)
    with pytest.raises(JournalUnavailable, match="was removed or replaced"):
        note(journal, 2)


def no_folder(folder: Path) -> None:
    folder.write_text("a file stands where the folder should")


def full_disk(folder: Path) -> None:
    folder.mkdir()
    (folder / f"{datetime.now(UTC):%Y-%m}.jsonl").symlink_to("/dev/full")


@pytest.mark.parametrize(
    ("fault", "why"), [(no_folder, "File exists|Not a directory"), (full_disk, "No space left on device")]
)
def test_what_cannot_be_written_is_a_clear_error(folder: Path, fault: Callable[[Path], None], why: str) -> None:
    fault(folder)

    with pytest.raises(JournalUnavailable, match=why) as raised:
        note(Journal(folder))

    assert str(folder) in str(raised.value)
    assert "effects are closed until it can: free the disk, or let this user write there" in str(raised.value)


def test_once_the_disk_is_free_again_records_are_taken(folder: Path) -> None:
    full_disk(folder)
    journal = Journal(folder)
    with pytest.raises(JournalUnavailable):
        note(journal, 1)
    next(folder.iterdir()).unlink()

    note(journal, 2)

    assert fences(folder) == [2]


def failing_fsync(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The disk takes nothing, until what is answered is called."""
    original, fails = os.fsync, [True]

    def fsync(fd: int) -> None:
        if fails[0]:
            raise OSError(errno.EIO, "Input/output error")
        original(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    return lambda: fails.__setitem__(0, False)


def test_what_could_not_be_synced_is_not_promised(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(folder)
    note(journal, 1)
    recovers = failing_fsync(monkeypatch)
    with pytest.raises(JournalUnavailable, match="Input/output error"):
        note(journal, 2)
    recovers()

    note(journal, 3)

    assert fences(folder)[-1] == 3


@pytest.mark.parametrize("later", [[], [4]])
def test_after_a_failed_sync_the_next_one_vouches_for_nothing_before_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, later: list[int]
) -> None:
    """The kernel reports a lost page once; a second thread whose record was in it must not hear that all is well."""
    journal = Journal(folder)
    note(journal, 1)
    file = journal._current()
    end = file.write(records.encode("intent", {"agent": "clerk", "key": "mine", "call": "c", "fence": 2, "epoch": "e"}))
    recovers = failing_fsync(monkeypatch)
    with pytest.raises(JournalUnavailable):
        note(journal, 3)
    recovers()
    for fence in later:  # a record that did reach the disk
        note(journal, fence)

    with pytest.raises(OSError, match="the disk did not take it"):
        file.sync(end)


def test_in_a_file_that_was_emptied_each_promise_is_synced_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(folder)
    for fence in range(1, 10):
        note(journal, fence)
    os.truncate(journal.own_files()[-1], 0)
    synced: list[int] = []
    original = os.fsync

    def fsync(fd: int) -> None:
        synced.append(fd)
        original(fd)

    monkeypatch.setattr(os, "fsync", fsync)

    note(journal, 10)

    assert len(synced) == 1


def test_a_forked_child_writes_for_itself(folder: Path) -> None:
    """It shares its parent's open file no longer, so each knows how far its own writes went."""
    code = """
import os, sys
from pathlib import Path
from state.journal import opened
book = opened.of(Path(sys.argv[1]))
book.append("ended", {"agent": "clerk", "key": "parent"}, sync=True)
child = os.fork()
if child == 0:
    assert opened.of(Path(sys.argv[1])) is not book
    opened.of(Path(sys.argv[1])).append("ended", {"agent": "clerk", "key": "child"}, sync=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
book.append("ended", {"agent": "clerk", "key": "parent"}, sync=True)
"""
    subprocess.run([sys.executable, "-c", code, str(folder)], cwd=settings.ROOT, timeout=patient(30), check=True)

    assert [found["key"] for found in everything(folder) if isinstance(found, dict) and "key" in found] == [
        "parent",
        "child",
        "parent",
    ]


def test_only_one_process_at_a_time_is_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    with Journal(folder).exclusive():
        note(Journal(folder), 1)
        with (
            pytest.raises(JournalUnavailable, match=r"another process .* wait until it ends"),
            Journal(folder).exclusive(),
        ):
            pass

    with Journal(folder).exclusive():
        pass
    assert fences(folder) == [1]


def test_a_process_that_is_killed_while_it_is_alone_stops_nobody(folder: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from state.journal.journal import Journal
with Journal(Path(sys.argv[1])).exclusive():
    print("alone", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], cwd=settings.ROOT, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "alone\n"
        holder.kill()

    with Journal(folder).exclusive():
        pass


def test_tail_shows_lines_that_jq_understands(folder: Path) -> None:
    note(Journal(folder), 1, payload={"text": "grüße\n"})

    shown = subprocess.run(["tail", "-n", "1", Journal(folder).files()[0]], capture_output=True, check=True).stdout

    assert json.loads(shown)["payload"] == {"text": "grüße\n"}


def test_only_its_own_user_can_read_it(folder: Path) -> None:
    note(Journal(folder))

    assert Journal(folder).files()[0].stat().st_mode & 0o777 == 0o600


def test_open_files_do_not_pile_up(folder: Path, calendar: Calendar) -> None:
    journal = Journal(folder)
    for month in range(1, 13):
        calendar.today = datetime(2026, month, 1, tzinfo=UTC)
        note(journal, month)

    opened = sum(str(folder) in file.path for file in psutil.Process().open_files())
    assert opened <= 1 + heads.STILL_WRITTEN  # the writer's, and what its reader follows


def test_a_doubt_that_cannot_be_written_down_is_logged_with_its_own_error(tmp_path: Path) -> None:
    """The settlement in Redis comes after it, so it must not raise."""
    (tmp_path / "journal").write_text("a file where the folder has to be")
    claim = Claim("storyteller", "story:1", "c1", "me/1", 1, 1, 0, "e1")

    with capture_logs() as told:
        events.outcome(Journal(tmp_path / "journal"), claim, AttemptResult("unknown", error="it timed out"))

    [line] = told
    assert (line["event"], line["told"], line["attempt_error"]) == ("journal behind", "outcome", "it timed out")
    assert "effects are closed until it can" in line["error"]
