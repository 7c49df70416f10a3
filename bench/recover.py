"""`python -m bench.recover`: how long `gate recover` takes for a journal of so many entries."""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import click
from redis import Redis

from bench import processor
from bench.environment import BenchEnvironment
from state.journal import records
from state.journal.journal import Journal
from state.recovery.rebuild import Progress
from state.recovery.recover import RecoveryReport, recover

#: Records that each key leaves: registered, intent, outcome.
PER_KEY = 3
TASK = "tasks.publisher.publish"
#: What a post of a few sentences takes.
TEXT = "Small servers are enough for most of what people do with them. " * 5
#: Of this many keys, one is still in doubt, and one was only registered.
RARE = 100


@dataclass(frozen=True)
class Recovered:
    """The figures of one recovery: bytes of the journal, and seconds in all, of this process and of the server."""

    size: int
    seconds: float
    here: float
    server: float
    report: RecoveryReport


def main() -> None:
    """Write a journal, rebuild an empty Redis from it, and print the figures."""
    entries = _arguments().entries
    done = measure(entries)
    print(f"{entries // PER_KEY} keys, {entries} entries, {done.size / 1e6:.0f} MB")
    keys = entries / PER_KEY / done.seconds
    print(f"recovered in {done.seconds:.1f} s: {entries / done.seconds:,.0f} entries/s, {keys:,.0f} keys/s")
    print(f"processor: {done.here:.1f} s here, {done.server:.1f} s in the server")
    print(f"largest memory here: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    report = done.report
    print(f"rebuilt: {report.rebuilt}, calls that had not begun: {report.calls}, records read: {report.records}")


def measure(entries: int) -> Recovered:
    """Write a journal of so many records, and rebuild an empty Redis from it."""
    with BenchEnvironment() as environment:
        journal = Journal(environment.settings.journal_dir)
        size = _written(journal, entries // PER_KEY).stat().st_size
        return Recovered(size, *_timed(environment.redis, journal, size, environment.server.pid))


def _written(journal: Journal, keys: int) -> Path:
    """Write the journal as one file, in the form of a worker but without fsync."""
    journal.append("epoch", {"agent": "publisher", "epoch": "e" * 16, "fence": 0}, sync=True)
    path = journal.files()[-1]
    lines = (records.encode(event, fields) for number in range(1, keys + 1) for event, fields in _life(number))
    with path.open("ab") as file:
        while batch := list(islice(lines, 10_000)):
            file.writelines(batch)
    return path


def _life(number: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the journal's records of one key."""
    post, call = f"post-{number}", f"{number:08x}-0000-4000-8000-000000000000"
    which = {"agent": "publisher", "key": f"publish:feed:{post}", "call": call}
    kwargs = {"post_id": post, "destination": "feed"}
    asked = which | {"task": TASK, "door": "beat", "fingerprint": "f" * 64, "kwargs": kwargs}
    yield "registered", asked
    if number % RARE == 0:
        return
    owner = {"fence": number, "epoch": "e" * 16, "owner": "server-4711-0a1b2c3d/1"}
    payload = {"id": post, "title": f"Post {number}", "text": TEXT, "tags": ["small", "server"], "language": "en"}
    yield "intent", asked | owner | {"payload": payload}
    if number % RARE == 1:
        return
    result = {"url": f"https://example.org/posts/{post}", "id": str(number), "published_at": "2026-11-22T12:00:00Z"}
    facts = [[["published", post, "feed"], json.dumps(result), "published"]]
    end = {"fence": number, "epoch": "e" * 16, "outcome": "done", "result": {"result": result, "rung": None}}
    yield "outcome", which | end | {"facts": facts}


def _timed(redis: Redis, journal: Journal, size: int, pid: int) -> tuple[float, float, float, RecoveryReport]:
    began, mine, its = time.monotonic(), time.process_time(), processor.seconds(pid)
    with click.progressbar(length=2 * size, label="recover", file=sys.stderr) as bar:
        report = recover(redis, journal, _no_caps, _Bar(bar.update, size))
    return time.monotonic() - began, time.process_time() - mine, processor.seconds(pid) - its, report


class _Bar(Progress):
    """Show progress as `gate recover` does."""

    def __init__(self, update: Callable[[int], None], size: int) -> None:
        self._update, self._size, self._written = update, size, 0

    def reads(self, size: int) -> None:
        self._update(size)

    def writes(self, done: int, total: int) -> None:
        before, self._written = self._written, self._size * done // total
        self._update(self._written - before)


def _no_caps(_task: str, _kwargs: Mapping[str, Any]) -> list[tuple[str, int]]:
    return []


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.recover", description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000, help="lines of the journal; three for each key")
    return parser.parse_args()


if __name__ == "__main__":
    main()
