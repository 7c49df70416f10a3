"""The journal's disk fails under a worker that runs: no effect is sent without being written down, all else goes on.

Disks that are full before a worker starts, and what the doors say, are in test_closed_doors.py.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from state.journal import records
from state.redis.keys import Keys
from tests.effects.client import EffectServer
from tests.harness import Install, Process, Valkey, until
from tests.harness.shell import Shell

pytestmark = pytest.mark.slow

AGENT, TASK = "storyteller", "storyteller.publish"
N = Keys(AGENT)


class Desk:
    """An installation with a worker, and a process through which calls come in."""

    def __init__(self, install: Install, effects: EffectServer) -> None:
        self.install, self.effects = install, effects
        self.folder = install.state_dir / "journal"
        self.store: redis.Redis = redis.Redis.from_url(install.redis_url, decode_responses=True)
        self.shell = Shell(install)

    def publish(self, post: str) -> str:
        return self.shell.delay(TASK, {"post_id": post})[0]

    def publish_later(self, post: str) -> str:
        """Accepted now, and due when the test says so."""
        call: str = self.shell.run(
            "answer = app.tasks[task].apply_async(kwargs={'post_id': post}, countdown=3600).id", task=TASK, post=post
        )
        return call

    def come_due(self) -> None:
        for call in self.store.zrange(N.waiting, 0, -1):
            self.store.zadd(N.waiting, {call: 1}, xx=True)

    def state(self, post: str) -> str | None:
        found = self.store.hget(N.key(f"story:{post}"), "state")
        return None if found is None else str(found)

    def ends(self, post: str, state: str = "done") -> None:
        def ended() -> bool:
            self.come_due()
            return self.state(post) == state

        until(ended, 30, f"story:{post} to be {state}")

    def records(self, event: str) -> list[dict[str, Any]]:
        found = (each for path in sorted(self.folder.glob("*.jsonl")) for each in records.read(path))
        return [each for each in found if isinstance(each, dict) and each["event"] == event]

    def is_closed(self, call: str, why: str) -> None:
        """The call is deferred with a clear reason, and a task that changes nothing outside goes on."""
        answer = self.install.answer(call)
        assert (answer["error"], answer["stage"], answer["deferred"]) == ("effects are closed", "ledger", True), answer
        told = str(answer.get("why") or answer.get("detail"))
        assert why in told
        assert str(self.folder) in told
        assert "effects are closed until it can: free the disk, or let this user write there" in told
        [safe] = self.shell.delay("counter.add", {"a": 1, "b": 2})
        assert self.install.answer(safe)["result"] == 3


@pytest.fixture
def desk(install_on: Callable[[Valkey], Install], valkey: Valkey, effects: EffectServer) -> Iterator[Desk]:
    made = Desk(install_on(valkey), effects)
    yield made
    made.shell.close()
    made.store.close()


@pytest.fixture
def small_disk(desk: Desk) -> Iterator[Path]:
    """A file system of its own for the journal."""
    desk.folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(desk.folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"only root can mount a disk: {error}")
    yield desk.folder
    subprocess.run(["umount", "--lazy", str(desk.folder)], check=True)


@pytest.fixture
def worker(desk: Desk) -> Process:
    """Busy already: one effect is done."""
    worker = desk.install.worker()
    assert desk.install.answer(desk.publish("first"))["ok"]
    return worker


def fill(folder: Path) -> None:
    """To the last byte, also of the block that the journal ends in."""
    for path in (folder / "filler", *folder.glob("*.jsonl")):
        with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"\n" * 4096):
                pass


def free(folder: Path) -> None:
    (folder / "filler").unlink()


def remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


def test_a_full_disk_closes_effects_and_they_go_on_by_themselves(small_disk: Path, desk: Desk, worker: Process) -> None:
    call = desk.publish_later("second")
    fill(small_disk)
    desk.come_due()

    desk.is_closed(call, os.strerror(errno.ENOSPC))
    assert desk.effects.counts() == {"story:first": 1}
    until(lambda: desk.state("second") == "waiting", 10, "it to wait; it asks again now and then")
    free(small_disk)
    desk.ends("second")

    assert desk.effects.counts() == {"story:first": 1, "story:second": 1}
    assert worker.alive


def test_a_command_that_needs_a_full_disk_says_so_in_one_line(small_disk: Path, desk: Desk, worker: Process) -> None:
    desk.effects.mode("apply_then_reset", key="story:torn")
    desk.publish("torn")
    desk.ends("torn", "unknown")
    fill(small_disk)

    done = desk.install.celery("gate", "resolve", "story:torn", "--applied", "--why", "it is there")

    assert done.returncode == 1
    assert os.strerror(errno.ENOSPC) in done.stderr
    assert "free the disk" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert desk.state("torn") == "unknown"


def test_a_full_disk_when_redis_was_started_anew_stops_nothing_but_effects(
    small_disk: Path, desk: Desk, worker: Process
) -> None:
    call = desk.publish_later("second")
    later = desk.shell.run("answer = app.tasks['counter.add'].apply_async(kwargs={'a': 2, 'b': 3}, countdown=3600).id")
    fill(small_disk)
    desk.store.hset(N.ledger, "run", "of yesterday")
    desk.store.zadd(Keys("counter").waiting, {later: 1})
    desk.come_due()

    assert desk.install.answer(later)["result"] == 5
    desk.is_closed(call, os.strerror(errno.ENOSPC))
    free(small_disk)
    desk.ends("second")

    assert desk.effects.counts() == {"story:first": 1, "story:second": 1}
    assert worker.alive


def test_a_disk_that_can_only_be_read_closes_effects_until_it_can_be_written(
    small_disk: Path, desk: Desk, worker: Process
) -> None:
    call = desk.publish_later("second")
    worker.terminate()
    desk.shell.close()
    remount(small_disk, "ro")
    desk.shell = Shell(desk.install)
    worker = desk.install.worker()
    desk.come_due()

    desk.is_closed(call, os.strerror(errno.EROFS))
    assert desk.effects.counts() == {"story:first": 1}
    remount(small_disk, "rw")
    desk.ends("second")

    assert desk.effects.counts() == {"story:first": 1, "story:second": 1}
    assert worker.alive


def test_a_result_that_cannot_be_written_down_is_not_lost_and_nothing_is_sent_again(
    small_disk: Path, desk: Desk, worker: Process
) -> None:
    """The disk fills up while the effect is on its way: it happened, and Redis knows; the journal does not."""
    desk.effects.mode("delay:30", "story:second")
    call = desk.publish("second")
    desk.effects.wait_in_flight()
    fill(small_disk)
    desk.effects.release()

    assert desk.install.answer(call)["ok"]
    assert worker.events("journal behind")[0]["told"] == "outcome"
    free(small_disk)
    desk.store.flushall()
    report = desk.shell.gate("recover")

    assert report["rebuilt"] == {"done": 1, "unknown": 1}
    assert desk.install.answer(desk.publish("second"))["error"] == "outcome unknown"
    assert desk.effects.counts() == {"story:first": 1, "story:second": 1}


def test_a_torn_line_of_a_full_disk_hurts_nobody(small_disk: Path, desk: Desk, worker: Process) -> None:
    call = desk.publish_later("second")
    fill(small_disk)
    desk.come_due()
    desk.install.answer(call)
    free(small_disk)
    [journal] = small_disk.glob("*.jsonl")
    with journal.open("ab") as file:
        file.write(records.encode("intent", {"agent": AGENT, "key": "story:cut"})[:50])

    desk.ends("second")

    assert desk.effects.counts() == {"story:first": 1, "story:second": 1}
    desk.store.flushall()
    report = desk.shell.gate("recover")
    assert report["rebuilt"] == {"done": 2}
    assert report["torn"]
    assert report["damaged"] == []


def test_a_folder_that_is_removed_is_made_anew_with_all_that_redis_knows(desk: Desk, worker: Process) -> None:
    desk.effects.mode("apply_then_drop", "story:doubt")
    desk.install.result(desk.publish("doubt"))
    shutil.rmtree(desk.folder)

    assert desk.install.answer(desk.publish("second"))["ok"]

    assert {record["key"] for record in desk.records("carried over")} == {"story:first", "story:doubt"}
    desk.store.flushall()
    assert desk.shell.gate("recover")["rebuilt"] == {"done": 2, "unknown": 1}
    assert desk.install.answer(desk.publish("first"))["replayed"] is True
    assert desk.effects.counts() == {"story:first": 1, "story:second": 1, "story:doubt": 1}


def test_a_folder_that_is_removed_while_a_call_stands_before_the_effect_sends_nothing_unwritten(
    desk: Desk, worker: Process
) -> None:
    """The claim was made in a journal that is gone; its intent goes into the new one, or the effect waits."""
    [call] = desk.shell.delay("storyteller.publish_carefully", {"post_id": "slow"})
    until((desk.install.notes_dir / "careful-slow").exists, what="the attempt to stand before the effect")
    shutil.rmtree(desk.folder)
    worker.kill9()

    desk.install.worker()
    until(lambda: desk.effects.count("careful:slow") == 1, 30, "the effect, once")

    assert desk.install.answer(call)["ok"]
    intents = {record["key"] for record in desk.records("intent") + desk.records("carried over")}
    assert {"story:first", "careful:slow"} <= intents


def test_a_journal_that_somebody_replaced_by_a_backup_is_written_on(
    desk: Desk, worker: Process, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    shutil.copytree(desk.folder, backup)
    assert desk.install.answer(desk.publish("second"))["ok"]
    desk.folder.rename(tmp_path / "aside")
    backup.rename(desk.folder)

    assert desk.install.answer(desk.publish("third"))["ok"]
    assert desk.install.answer(desk.publish("first"))["replayed"] is True

    assert desk.effects.counts() == {"story:first": 1, "story:second": 1, "story:third": 1}
    assert {record["key"] for record in desk.records("intent")} == {"story:first", "story:third"}


def test_a_bit_that_flipped_stops_a_recovery_and_names_the_line(desk: Desk, worker: Process) -> None:
    assert desk.install.answer(desk.publish("second"))["ok"]
    [journal] = desk.folder.glob("*.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    [at] = [number for number, line in enumerate(lines) if b'"intent"' in line and b"story:second" in line]
    lines[at] = lines[at].replace(b"story:second", b"story:secund", 1)
    journal.write_bytes(b"".join(lines))
    desk.store.flushall()

    refused = desk.shell.celery("gate", "recover")

    assert refused.returncode == 1
    assert f"{journal.name}, line {at + 1}: damaged" in refused.stderr
    assert "--skip-damaged" in refused.stderr
    assert desk.install.answer(desk.publish("first"))["stage"] == "ledger"
    assert desk.effects.counts() == {"story:first": 1, "story:second": 1}
