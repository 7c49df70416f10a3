"""Disks that are full, read-only, slow or lie; journals that are damaged or gone."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from tests.harness import until
from tests.torture import shim, tmpfs
from tests.torture.arena import Arena
from tests.torture.faults.losses import closed, recover
from tests.torture.faults.redis import HALF, hold_both
from tests.torture.scenario import fault
from tests.torture.shim import Shim


@fault("F21", "the disk of the journal is full", short=1, long=6, missing=tmpfs.missing, limit=180)
def journal_disk_full(arena: Arena, rounds: int) -> None:
    disk = arena.put_journal_on(kilobytes=1024)
    arena.house.hire(2)
    for _ in range(rounds):
        hold_both(arena)
        arena.hit()
        filler = disk.fill()
        arena.let_go()
        until(lambda: not arena.judge.open(), 30, "the judge to have answered all")
        names = arena.producer.names(HALF)
        arena.producer.write_down("strike", names)
        asker = arena.house.ask_elsewhere(arena.house.env["REDIS_URL"], "strike", names, insist=True)
        arena.last(3)
        arena.check("nothing was sent", not {f"strike:{name}" for name in names} & set(arena.judge.asked()))
        filler.unlink()
        arena.watch.mark()
        arena.rest()
        until(lambda gone=asker: not gone.alive, 30, "every call to be accepted")  # type: ignore[misc]


@fault("F22", "the journal cannot be written, or its fsync fails: EIO, ENOSPC, EROFS", short=1, long=6,
       missing=shim.missing, limit=180)  # fmt: skip
def journal_fails(arena: Arena, rounds: int) -> None:
    disk = Shim(arena.house.folder, "disk")
    workers = arena.house.hire(2, env=disk.env)
    for _ in range(rounds):
        fails = [disk.failing_fsync, disk.failing_write]
        for fail in fails if rounds > 1 else [arena.random.choice(fails)]:
            hold_both(arena)
            with arena.fault():
                fail(arena.random.choice([errno.EIO, errno.ENOSPC, errno.EROFS]))
                arena.let_go()
                keys = arena.ask(HALF) + arena.ask(HALF, "sure")
                arena.last(2.5)
                arena.check("nothing was sent", not set(keys) & set(arena.judge.asked()))
                fail(0)
            arena.rest(90)
    arena.check("no worker ended", all(worker.alive for worker in workers))


@fault("F22", "bits of the journal flip, then Redis is emptied", short=1, long=6, limit=180)
def journal_damaged(arena: Arena, rounds: int) -> None:
    """What cannot be read is not guessed: the recovery refuses until the journal is mended."""
    for _ in range(rounds):
        workers = arena.house.hire(2)
        arena.wait_standing(arena.ask(HALF) + arena.ask(HALF, "sure"), "done")
        hold_both(arena)
        arena.hit()
        for worker in workers:
            worker.kill9()
        arena.let_go()
        [journal] = (arena.house.state_dir / "journal").glob("*.jsonl")
        whole = shutil.copy(journal, arena.house.folder / "whole.jsonl")
        _flip(journal, arena)
        arena.valkey.client().flushall()
        refused = arena.house.celery("gate", "recover", "--json")
        arena.check(f"recovery refuses a damaged journal: {refused.stdout}", refused.returncode != 0)
        workers = arena.house.hire(2)
        closed(arena)
        for worker in workers:
            worker.kill9()
        _mend(journal, Path(whole))
        recover(arena)
        workers = arena.house.hire(2)
        arena.rest(90)
        for worker in workers:
            worker.kill9()
    arena.house.hire()


def _flip(journal: Path, arena: Arena) -> None:
    """One bit in each of three lines that say what was about to be sent, or what came of it."""
    lines = journal.read_bytes().splitlines(keepends=True)
    telling = [number for number, line in enumerate(lines) if b'"intent"' in line or b'"outcome"' in line]
    for number in arena.random.sample(telling, 3):
        line = bytearray(lines[number])
        line[arena.random.randrange(len(line) - 1)] ^= 1 << arena.random.randrange(7)
        lines[number] = bytes(line)
    journal.write_bytes(b"".join(lines))


def _mend(journal: Path, whole: Path) -> None:
    """The copy comes back, with what was appended since."""
    since = journal.read_bytes()[whole.stat().st_size :]
    journal.write_bytes(whole.read_bytes() + since)


@fault("F22", "the journal is deleted under running workers, and later Redis is emptied", short=1, long=6, limit=180)
def journal_deleted(arena: Arena, rounds: int) -> None:
    """What Redis still knows comes into the new journal, so that it survives the loss of Redis."""
    arena.house.hire(2)
    for _ in range(rounds):
        arena.wait_standing(arena.ask(HALF) + arena.ask(HALF, "sure"), "done")
        hold_both(arena)
        arena.hit()
        shutil.rmtree(arena.house.state_dir / "journal")
        arena.ask(HALF)
        arena.let_go()
        arena.watch.mark()
        arena.rest()
        arena.valkey.client().flushall()
        closed(arena)
        recover(arena)
        arena.rest(90)


@fault("F33", "each fsync takes a second longer", short=1, long=6, missing=shim.missing, env={"LEASE": "12s"})
def slow_disk(arena: Arena, rounds: int) -> None:
    disk = Shim(arena.house.folder, "disk")
    arena.house.hire(2, env=disk.env)
    arena.wait_standing(arena.ask(2), "done")
    for _ in range(rounds):
        disk.slow_fsync(1)
        arena.judge.mode("delay:0.5")
        keys = arena.ask(HALF) + arena.ask(HALF, "sure")
        until(lambda: arena.judge.open(), 90, "the first requests to come through")  # noqa: PLW0108
        arena.hit()
        arena.wait_standing(keys, "done", deadline=60)
        disk.slow_fsync(0)
        arena.watch.mark()
        arena.rest()
