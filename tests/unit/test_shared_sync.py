"""One fsync for several processes: it is shared when it began after the write, and in doubt it is not."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import settings
from state.errors import JournalUnavailable
from state.journal import shared_sync
from state.journal.journal import Journal
from state.journal.month_file import WORD
from state.journal.sync_word import SyncWord
from tests.harness import patient, until

#: Appends so many records on a disk that takes 10 ms for each fsync, and says how many fsyncs that were.
WRITER = """
import os, sys, time
from pathlib import Path
from state.journal.journal import Journal
original, count, folder = os.fsync, 0, Path(sys.argv[1])
def slow(descriptor):
    global count
    count += 1
    time.sleep(0.01)
    original(descriptor)
journal = Journal(folder)
journal.append("probe", {}, sync=True)
print("ready", flush=True)
sys.stdin.readline()
os.fsync = slow
for number in range(int(sys.argv[2])):
    journal.append("probe", {}, sync=True)
print(count, flush=True)
"""
#: Begins an fsync that never ends, in the middle of many appends.
STUCK = """
import os, sys, threading, time
from pathlib import Path
from state.journal.journal import Journal
original, journal = os.fsync, Journal(Path(sys.argv[1]))
for number in range(3):
    journal.append("probe", {}, sync=True)
def for_ever(descriptor):
    print("syncs", flush=True)
    time.sleep(3600)
os.fsync = for_ever
journal.append("probe", {}, sync=True)
"""


class Disk:
    """The disk as os.fsync sees it: it counts, waits if it is told to, and fails if it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.fails = False
        self.waits: threading.Event | None = None
        self.is_busy = threading.Event()
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self)

    def __call__(self, descriptor: int) -> None:
        self.count += 1
        waits, fails, self.waits = self.waits, self.fails, None
        if waits:
            self.is_busy.set()
            assert waits.wait(20)
        if fails:
            raise OSError(errno.EIO, "Input/output error")
        self._fsync(descriptor)

    def hold(self) -> threading.Event:
        """Let the next fsync begin, and not end before the event is set."""
        self.is_busy.clear()
        self.waits = threading.Event()
        return self.waits

    def counts(self, action: Callable[[], object]) -> int:
        before = self.count
        action()
        return self.count - before


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def note(journal: Journal) -> None:
    journal.append("probe", {}, sync=True)


def note_each(*journals: Journal) -> Callable[[], None]:
    """Return what writes a record with each of them in turn."""

    def notes() -> None:
        for journal in journals:
            note(journal)

    return notes


def meanwhile(process: Journal, happens: Callable[[], object]) -> None:
    """Let something happen after the next write of a process, before it looks whether others have synced it."""
    shared = process._current()._shared
    take = shared._ticket

    def take_and_wait(written: Callable[[], int]) -> tuple[SyncWord | None, int]:
        ticket = take(written)
        happens()
        return ticket

    shared._ticket = take_and_wait  # type: ignore[method-assign]


def write(journal: Journal) -> Callable[[], None]:
    """Write a record, and return what brings it to the disk."""
    with journal._writing:
        file = journal._current()
        end = file.write(b'{"at":"now"}\n')
    return lambda: file.sync(end)


def processes(folder: Path, count: int) -> list[Journal]:
    """Journals that share nothing but the folder, as in so many processes, and that know each other by now."""
    journals = [Journal(folder) for _ in range(count)]
    for journal in journals * 4:
        note(journal)
    return journals


def word(folder: Path) -> SyncWord:
    found = SyncWord.of((folder / WORD).read_bytes())
    assert found
    return found


def lines(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("*.jsonl"))


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=settings.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def stuck(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of an fsync that it does for all."""
    note(Journal(folder))
    process = start(STUCK, folder)
    assert process.stdout
    assert process.stdout.readline() == "syncs\n"
    yield process
    process.kill()
    process.communicate(timeout=patient(10))


@pytest.mark.slow
def test_eight_processes_that_sync_at_once_need_less_than_half_as_many_fsyncs_as_records(folder: Path) -> None:
    writers = [start(WRITER, folder, 60) for _ in range(8)]
    for writer in writers:
        assert writer.stdout
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("go\n")
        writer.stdin.flush()

    fsyncs = sum(int(writer.communicate(timeout=patient(60))[0]) for writer in writers)

    assert lines(folder) >= 8 * 61
    assert fsyncs < 8 * 60 / 2


def test_a_record_is_promised_when_another_process_has_finished_an_fsync_that_began_later(
    folder: Path, disk: Disk, pool: ThreadPoolExecutor
) -> None:
    first, *others = processes(folder, 4)
    began, goes_on = disk.count, disk.hold()
    syncing = [pool.submit(note, first)]
    assert disk.is_busy.wait(10)
    before = lines(folder)
    syncing += [pool.submit(note, other) for other in others]
    until(lambda: lines(folder) == before + 3, what="the others to write")
    time.sleep(0.1)  # each of them looks at the word now; those that do not need an fsync of their own
    goes_on.set()
    for each in syncing:
        each.result(20)

    assert 2 <= disk.count - began < 4


def test_an_fsync_that_began_before_the_write_promises_nothing(
    folder: Path, disk: Disk, pool: ThreadPoolExecutor
) -> None:
    first, second = processes(folder, 2)
    goes_on = disk.hold()
    syncing = pool.submit(note, first)
    assert disk.is_busy.wait(10)
    sync = write(second)
    later = pool.submit(disk.counts, sync)
    goes_on.set()
    syncing.result(20)

    later.result(20)
    assert word(folder).done == word(folder).begun
    assert disk.counts(sync) == 0
    assert disk.count >= 2


def test_an_fsync_that_another_process_began_and_ended_before_the_write_promises_nothing(
    folder: Path, disk: Disk
) -> None:
    first, second = processes(folder, 2)
    note(first)
    sync = write(second)

    assert disk.counts(sync) == 1


def test_what_another_process_synced_after_the_look_at_the_word_is_not_synced_again(folder: Path, disk: Disk) -> None:
    """The ticket is taken, then another process syncs for all, and then this one gets the lock."""
    first, second = processes(folder, 2)
    sync = write(second)
    meanwhile(second, note_each(first))

    assert disk.counts(sync) == 1  # that of the first


def test_an_fsync_that_failed_is_not_taken_for_one_that_succeeded(folder: Path, disk: Disk) -> None:
    first, second = processes(folder, 2)
    sync = write(second)

    def fail() -> None:
        disk.fails = True
        with pytest.raises(JournalUnavailable):
            note(first)
        disk.fails = False

    meanwhile(second, fail)

    assert disk.counts(sync) == 2


def test_after_a_failure_a_process_vouches_for_nothing_that_others_wrote_before(folder: Path, disk: Disk) -> None:
    """The kernel told the failure to its descriptor, and does not tell it again; it tells each other descriptor itself."""
    first, second = processes(folder, 2)
    sync = write(second)
    disk.fails = True
    with pytest.raises(JournalUnavailable):
        note(first)
    disk.fails = False
    meanwhile(second, note_each(first, first))

    assert disk.counts(sync) == 3


def test_a_process_that_opened_the_file_after_the_write_does_not_vouch_for_it(folder: Path, disk: Disk) -> None:
    """A failure that was told already is not told to a descriptor that is opened later."""
    first, second = processes(folder, 2)
    sync = write(second)
    processes(folder, 1)
    meanwhile(second, note_each(first))

    assert disk.counts(sync) == 2


def test_a_word_about_another_file_says_nothing_about_this_one(folder: Path, disk: Disk) -> None:
    """At the end of a month, some processes still have the last file open."""
    first, second = processes(folder, 2)
    about = word(folder)
    for number in range(3):
        sync = write(second)
        (folder / WORD).write_bytes(about._replace(inode=about.inode + 1, done=about.done + 100).packed())
        assert second._current()._shared._ticket(lambda: 0)[0] is None, number
    assert disk.counts(sync) == 1
    note(first)
    assert word(folder).inode == about.inode


def test_a_process_that_is_killed_in_the_middle_of_an_fsync_stops_nobody(
    folder: Path, stuck: subprocess.Popen[str], disk: Disk
) -> None:
    journal = Journal(folder)
    stuck.kill()
    stuck.wait(10)
    assert word(folder).begun > word(folder).done

    assert disk.counts(note_each(journal)) == 1
    assert word(folder).begun == word(folder).done


def noted_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds for which this thread would sleep from now on. Threads that other tests left behind sleep as before."""
    pauses, sleep, this = list[float](), time.sleep, threading.get_ident()

    def note_or_sleep(seconds: float) -> None:
        if threading.get_ident() == this:
            pauses.append(seconds)
        else:
            sleep(seconds)

    monkeypatch.setattr(time, "sleep", note_or_sleep)
    return pauses


def test_a_process_that_is_stopped_in_the_middle_of_an_fsync_holds_the_others_up_once(
    folder: Path, stuck: subprocess.Popen[str], disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(shared_sync, "PATIENCE", 0.3)
    journal = Journal(folder)
    began = time.monotonic()
    assert disk.counts(note_each(journal)) == 1
    assert time.monotonic() - began >= 0.3

    monkeypatch.setattr(shared_sync, "PATIENCE", 3600)
    pauses = noted_pauses(monkeypatch)
    assert disk.counts(note_each(*[journal] * 5)) == 5
    assert sum(pauses) <= 5 * shared_sync.LONGEST_GATHERING


def no_word(path: Path) -> None:
    path.mkdir()


def no_lock(path: Path) -> None:
    path.symlink_to("/nowhere/word")


@pytest.mark.parametrize("fault", [no_word, no_lock])
def test_where_the_word_cannot_be_kept_each_process_syncs_by_itself(
    folder: Path, disk: Disk, fault: Callable[[Path], None]
) -> None:
    folder.mkdir(0o700)
    fault(folder / WORD)
    first, second = processes(folder, 2)

    assert disk.counts(note_each(first, second, first)) == 3


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def removed(path: Path) -> None:
    path.unlink()


def older(path: Path) -> None:
    found = SyncWord.of(path.read_bytes())
    assert found
    path.write_bytes(found._replace(begun=found.begun - 2, done=found.done - 2).packed())


@pytest.mark.parametrize("damage", [torn, emptied, older])
def test_whoever_changes_the_word_during_an_fsync_only_makes_another_one_necessary(
    folder: Path, disk: Disk, pool: ThreadPoolExecutor, damage: Callable[[Path], None]
) -> None:
    first, second = processes(folder, 2)
    goes_on = disk.hold()
    syncing = pool.submit(note, first)
    assert disk.is_busy.wait(10)
    damage(folder / WORD)
    sync = write(second)
    ticket, _ = second._current()._shared._ticket(lambda: 0)
    goes_on.set()
    syncing.result(20)

    found = SyncWord.of((folder / WORD).read_bytes())
    assert found is None or ticket is None or found.done <= ticket.begun
    assert disk.counts(sync) == 1


@pytest.mark.parametrize("damage", [torn, emptied, removed])
def test_a_word_that_is_damaged_is_begun_anew(folder: Path, disk: Disk, damage: Callable[[Path], None]) -> None:
    first, second = processes(folder, 2)
    damage(folder / WORD)

    assert disk.counts(note_each(first, second, first, second)) == 4


def test_a_process_that_is_alone_does_not_use_the_word(folder: Path, disk: Disk) -> None:
    journal = Journal(folder)
    for _ in range(40):
        note(journal)
    before = word(folder) if (folder / WORD).exists() else None

    assert disk.counts(note_each(*[journal] * 5)) == 5
    assert (word(folder) if (folder / WORD).exists() else None) == before


def test_a_process_that_is_alone_waits_for_nobody(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, pauses = Journal(folder), noted_pauses(monkeypatch)
    for _ in range(40):
        note(journal)

    assert pauses == []
