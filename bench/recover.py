"""`python -m bench.recover`: how long `gate recover` takes for a journal of so many entries."""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import click
from redis import Redis

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


def main() -> None:
    """Write a journal, rebuild an empty Redis from it, and print the figures."""
    asked = _arguments()
    with BenchEnvironment() as environment:
        journal = Journal(environment.settings.journal_dir)
        path = _written(journal, asked.entries // PER_KEY)
        size = path.stat().st_size
        print(f"{asked.entries // PER_KEY} keys, {asked.entries} entries, {size / 1e6:.0f} MB")
        pid = int(environment.redis.info("server")["process_id"])
        took, mine, its, report = _timed(environment.redis, journal, size, pid)
    print(
        f"recovered in {took:.1f} s: {asked.entries / took:,.0f} entries/s, {asked.entries / PER_KEY / took:,.0f} keys/s"
    )
    print(f"processor: {mine:.1f} s here, {its:.1f} s in the server")
    print(f"largest memory here: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    print(f"rebuilt: {report.rebuilt}, calls that had not begun: {report.calls}, records read: {report.records}")


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
    began, mine, its = time.monotonic(), time.process_time(), _processor(pid)
    with click.progressbar(length=2 * size, label="recover", file=sys.stderr) as bar:
        report = recover(redis, journal, _no_caps, _Bar(bar.update, size))
    return time.monotonic() - began, time.process_time() - mine, _processor(pid) - its, report


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


def _processor(pid: int) -> float:
    """Return the processor time that a process has used, in seconds; works on Linux only."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.recover", description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000, help="lines of the journal; three for each key")
    return parser.parse_args()


if __name__ == "__main__":
    main()
