"""One round of one side: a new server, the queue filled by one process, then workers that empty it."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import processor
from bench.peers.adapters import processed
from bench.peers.peer import ADAPTERS
from bench.peers.speed.side import Side
from bench.peers.system import System
from tests.harness import GaveUp, Process

#: Seconds between two readings of the count.
POLL = 0.02
#: Seconds without progress after which a round has failed, and for the calls of a round to be published.
STUCK_AFTER = 60.0
PUBLISHES_WITHIN = 180.0
#: Seconds after the last call in which a call that is run twice would show.
SETTLES = 0.2


@dataclass(frozen=True)
class Round:
    """The figures of a round; times are microseconds of processor for each call."""

    tasks_per_second: float
    worker: float
    server: float
    calls_per_second: float
    caller: float
    server_for_call: float


Rounds = Sequence[Round | None]  #: one for each turn; none where the side failed


@dataclass(frozen=True)
class _Reading:
    """The state at one moment: seconds of the clock and of the processor, and how many calls are processed."""

    at: float
    done: int
    worker: float
    server: float


def one_round(side: Side, python: Path, tasks: int) -> Round:
    """Run one round with so many timed calls, after a fifth as many for the warm-up.

    Raises:
        GaveUp: a process failed, nothing happens any more, or a call was run twice.

    """
    warm_up = tasks // 5
    with tempfile.TemporaryDirectory(prefix="peers-") as name:
        counts = Path(name, "counts")
        counts.mkdir()
        env = {"PEERS_BENCH": "speed", "COUNTS_DIR": str(counts), **side.env}
        with System(Path(name), python, env) as system:
            said, used = _publish(system, side, warm_up, tasks)
            worker = system.start("worker", side.command(system.url))
            begin = _wait(system, worker, counts, warm_up)
            end = _wait(system, worker, counts, warm_up + tasks)
            check_once(counts, warm_up + tasks)
    timed = end.done - begin.done
    return Round(
        timed / (end.at - begin.at),
        _micro(end.worker - begin.worker, timed),
        _micro(end.server - begin.server, timed),
        tasks / said["seconds"],
        _micro(said["processor"], tasks),
        _micro(used, warm_up + tasks),
    )


def _publish(system: System, side: Side, warm_up: int, tasks: int) -> tuple[dict[str, float], float]:
    """Fill the queue; return what the publisher said, and the server's processor seconds for all of its calls."""
    before = processor.seconds(system.server.pid)
    command = system.command(f"{ADAPTERS}.publisher", side.module, side.enqueue, str(warm_up), str(tasks))
    install = system.install
    done = subprocess.run(
        command,
        env=install.env,
        cwd=install.root,
        capture_output=True,
        text=True,
        timeout=PUBLISHES_WITHIN,
        check=False,
    )
    if done.returncode != 0:
        raise GaveUp(f"{side.title} cannot be asked:\n{done.stderr[-2000:]}")
    said: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return said, processor.seconds(system.server.pid) - before


def _wait(system: System, worker: Process, counts: Path, until: int) -> _Reading:
    """Wait until so many calls are processed."""
    seen, changed = 0, time.monotonic()
    while True:
        done, last = processed.read(counts)
        if done >= until:
            return _Reading(last, done, processor.seconds(worker.pid), processor.seconds(system.server.pid))
        if done != seen:
            seen, changed = done, time.monotonic()
        if not worker.alive or time.monotonic() - changed > STUCK_AFTER:
            raise GaveUp(f"{done} of {until} calls are processed; the workers say:\n{worker.output[-2000:]}")
        time.sleep(POLL)


def check_once(counts: Path, expected: int) -> None:
    """Raise GaveUp if more calls are processed than were asked for."""
    time.sleep(SETTLES)
    done, _ = processed.read(counts)
    if done != expected:
        raise GaveUp(f"{done} calls are processed, {expected} were asked for")


def _micro(seconds: float, calls: int) -> float:
    return seconds / calls * 1e6
