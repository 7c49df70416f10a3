"""Liveness: which workers and beats run, and which are silent, and since when.

A process writes its record every few seconds, and once more when it is asked to stop. It is silent when its record gets
old: it died, or it is stopped or stuck. This informs people; no safety rests on it.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields

import psutil

from state import redis_format
from state.formatting import iso
from state.host import mark as host_mark
from state.processes import host_signs
from state.processes.backlog import Backlog
from state.redis import client
from state.redis.script import Script

#: Seconds between two writes of a process's record.
INTERVAL = 3.0
#: ms. Longer than a slow answer of Redis or a long sweep blocks a worker's loop.
SILENT_MS = 20_000
#: ms. Longer than a worker takes to start.
UNSERVED_MS = 60_000
#: ms. While others of its kind run, a process that died and was not replaced is reported for this long.
REPORTED_MS = 24 * 3600 * 1000
#: ms. Longer than a long weekend.
KEEP_MS = 7 * REPORTED_MS
#: Far more than the processes of a few machines and their restarts within some days.
MAX_PROCESSES = 200
#: The kinds of process without which no call runs.
KINDS = ("worker", "beat")
#: Seconds by which two readings of one process's start time may differ.
SAME_START = 2.0

_sign = Script("sign")


def key() -> str:
    """hash: process → JSON {kind host pid born token version mark reads since_ms seen_ms swept_ms stopped queues}"""
    return "gate:{house}:signs"


@dataclass(frozen=True)
class ThisProcess:
    """The identity of this process, as its record holds it."""

    kind: str
    version: str
    host: str = field(default_factory=lambda: os.uname().nodename)
    pid: int = field(default_factory=os.getpid)
    born: float = field(default_factory=lambda: psutil.Process().create_time())
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    mark: str = field(default_factory=host_mark)
    reads: int = redis_format.FORMAT


@dataclass(frozen=True)
class ProcessRecord:
    """The record of one process; times are milliseconds since 1970, by the server's clock. `host` is its machine's name."""

    kind: str
    host: str
    pid: int
    born: float
    version: str
    since_ms: int
    seen_ms: int
    swept_ms: int | None = None
    stopped: bool = False
    queues: str | None = None  #: JSON list of a worker's queues, "" for the default one; None: an older version
    mark: str = ""  #: of its host (state/host.py); "": an older version
    reads: int = redis_format.FIRST  #: up to this format of what Redis holds


@dataclass(frozen=True)
class Silence:
    """A process that is silent, or a kind of process of which none runs (without a pid)."""

    kind: str
    since_ms: int | None  #: None: a process of this kind has never run
    why: str
    host: str = ""
    pid: int = 0

    @property
    def since(self) -> str:
        return "ever" if self.since_ms is None else iso(self.since_ms, "seconds")

    def __str__(self) -> str:
        who = f"{self.kind} {self.pid} on {self.host}" if self.pid else self.kind
        return f"{who}: {self.why}"


@dataclass(frozen=True)
class Liveness:
    """The processes that run and those that are silent, at one moment."""

    now_ms: int
    alive: list[ProcessRecord]
    silent: list[Silence]

    def of(self, kind: str) -> list[ProcessRecord]:
        """Return the running processes of a kind, the oldest first."""
        return sorted((record for record in self.alive if record.kind == kind), key=lambda record: record.since_ms)

    def older_than(self, needed: int) -> list[ProcessRecord]:
        """Return the running processes that do not read data of this format; they end within seconds of its first use."""
        return [record for record in self.alive if record.reads < needed]

    def can_run(self) -> bool:
        """Return whether any worker runs."""
        return bool(self.of("worker"))


def report(
    me: ThisProcess,
    *,
    swept_ago_ms: int = -1,
    stopped: bool = False,
    queues: Sequence[str] | None = None,
    of_host: str = "",
) -> int:
    """Write this process's record.

    Args:
        me: This process.
        swept_ago_ms: Milliseconds since the worker's last successful sweep; -1 if there was none.
        stopped: Whether the process was asked to stop.
        queues: The queues that a worker takes from, "" for the default one.
        of_host: What is to be recorded about its host, as `host_signs` writes it; "" for nothing this time.

    Returns:
        The server's clock, in ms since 1970.

    Raises:
        NewerRedisFormat: A newer version of Gatehouse wrote what Redis holds.

    """
    process = f"{me.kind}@{me.host}:{me.pid}"
    state = "stopped" if stopped else "alive"
    own = asdict(me) | ({} if queues is None else {"queues": json.dumps(queues)})
    answer = _sign(
        client.client(),
        {"signs": key(), "format": redis_format.key(), "hosts": host_signs.key()},
        process=process,
        sign=json.dumps(own),
        state=state,
        swept_ago_ms=swept_ago_ms,
        keep_ms=KEEP_MS,
        own_format=redis_format.in_use(),
        max_signs=MAX_PROCESSES,
        mark=me.mark,
        host=of_host,
    )
    redis_format.compare(int(answer[2]))
    return int(answer[1])


def current() -> Liveness:
    """Read every record in one round trip, and return who runs and who is silent."""
    with client.client().pipeline(transaction=False) as pipe:
        (seconds, micros), stored = pipe.time().hgetall(key()).execute()
    return assess(map(record_of, stored.values()), int(seconds) * 1000 + int(micros) // 1000)


def assess(records: Iterable[ProcessRecord], now_ms: int) -> Liveness:
    """Return which of these processes run and which are silent.

    A process that was asked to stop is not silent; a kind of which none runs is.
    """
    records = list(records)
    alive = [record for record in records if not record.stopped and now_ms - record.seen_ms <= SILENT_MS]
    silent = [silence for kind in KINDS for silence in _silent(kind, records, alive, now_ms)]
    return Liveness(now_ms, alive, [*silent, *_not_sweeping(alive, now_ms)])


def unserved_queues(backlogs: Iterable[Backlog], liveness: Liveness) -> Iterator[Silence]:
    """Yield a silence for each queue in which calls wait and from which no worker takes any."""
    taken = [record.queues for record in liveness.of("worker")]
    if not taken or None in taken:  # no worker runs, which is reported elsewhere, or an older version runs
        return
    served = {queue for text in taken for queue in json.loads(text or "[]")}
    for backlog in backlogs:
        if backlog.queue not in served and liveness.now_ms - backlog.since_ms > UNSERVED_MS:
            name = f"the queue {backlog.queue!r}" if backlog.queue else "the default queue"
            calls = "a call waits" if backlog.calls == 1 else f"{backlog.calls} calls wait"
            why = f"no worker takes messages from {name}, and {calls} there since {iso(backlog.since_ms, 'seconds')}"
            yield Silence("queue", backlog.since_ms, why)


def _silent(kind: str, records: list[ProcessRecord], alive: list[ProcessRecord], now_ms: int) -> Iterator[Silence]:
    ours = [record for record in records if record.kind == kind]
    running = [record for record in alive if record.kind == kind]
    missing = [record for record in ours if not record.stopped and record not in running]
    reported = [record for record in missing if not running or _is_reported(record, running, now_ms)]
    for record in sorted(reported, key=lambda record: record.seen_ms)[-3:]:
        yield Silence(
            kind,
            record.seen_ms,
            f"silent since {iso(record.seen_ms, 'seconds')}{_what_happened(record)}",
            record.host,
            record.pid,
        )
    if running or reported:
        return
    last = max(ours, key=lambda record: record.seen_ms, default=None)
    if last is None:
        yield Silence(kind, None, "none has ever run here")
    else:
        yield Silence(kind, last.seen_ms, f"none runs; the last was stopped at {iso(last.seen_ms, 'seconds')}")


def _is_reported(record: ProcessRecord, running: list[ProcessRecord], now_ms: int) -> bool:
    """Return whether a silent process is reported although others run; one that was replaced on its machine is not."""
    if _is_here(record):
        return True
    replaced = any(other.host == record.host and other.since_ms > record.seen_ms for other in running)
    return not replaced and now_ms - record.seen_ms < REPORTED_MS


def _not_sweeping(alive: list[ProcessRecord], now_ms: int) -> Iterator[Silence]:
    """Yield the workers that run but do not sweep, so they send neither due nor lost calls."""
    for record in alive:
        if record.swept_ms is not None and now_ms - record.swept_ms > SILENT_MS:
            why = f"no sweep succeeded since {iso(record.swept_ms, 'seconds')}; its log says why"
            yield Silence("sweeper", record.swept_ms, why, record.host, record.pid)


def _what_happened(record: ProcessRecord) -> str:
    if record.host != os.uname().nodename:
        return ""
    return ", and its process is there: it is stopped or stuck" if _is_here(record) else ", and its process is gone"


def _is_here(record: ProcessRecord) -> bool:
    """Return whether this very process exists on this machine; False for a process of another machine."""
    if record.host != os.uname().nodename:
        return False
    try:
        return abs(psutil.Process(record.pid).create_time() - record.born) < SAME_START
    except psutil.Error:
        return False


def record_of(text: str) -> ProcessRecord:
    """Return the record that a field of the hash holds; fields of a newer version are left out."""
    stored = json.loads(text)
    return ProcessRecord(**{each.name: stored[each.name] for each in fields(ProcessRecord) if each.name in stored})
