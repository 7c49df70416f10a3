"""Signs of life: which workers and beats run, and which of them are silent, since when.

A process signs every few seconds, and once more when it was asked to stop. It is silent when no sign came for a while:
it died, or it is stopped or stuck. This is for people; no safety rests on it.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime

import psutil

from state.processes.backlog import Backlog
from state.redis import client
from state.redis.script import Script

#: Seconds between two signs of a process: one write each.
INTERVAL = 3.0
#: ms. Longer than a slow answer of Redis or a long sweep holds up a worker's loop.
SILENT_MS = 20_000
#: ms. Longer than a worker takes to begin.
UNSERVED_MS = 60_000
#: ms. A process that died and was not replaced by its like is told for so long, if others of its kind run.
REPORTED_MS = 24 * 3600 * 1000
#: ms. Longer than a long weekend.
KEEP_MS = 7 * REPORTED_MS
#: Far more than the processes of a few machines and their restarts of some days.
MAX_PROCESSES = 200
#: Without them nothing that is due or was sent runs.
KINDS = ("worker", "beat")
#: Seconds by which two ways to ask when a process began may differ.
SAME_START = 2.0

_sign = Script("sign")


def key() -> str:
    """hash: process → JSON {kind host pid born token version since_ms seen_ms swept_ms stopped queues}"""
    return "gate:{house}:signs"


@dataclass(frozen=True)
class ThisProcess:
    """What a process says of itself."""

    kind: str
    version: str
    host: str = field(default_factory=lambda: os.uname().nodename)
    pid: int = field(default_factory=os.getpid)
    born: float = field(default_factory=lambda: psutil.Process().create_time())
    token: str = field(default_factory=lambda: secrets.token_hex(8))


@dataclass(frozen=True)
class ProcessRecord:
    """The newest sign of one process; times in ms since 1970, by the server's clock."""

    kind: str
    host: str
    pid: int
    born: float
    version: str
    since_ms: int
    seen_ms: int
    swept_ms: int | None = None
    stopped: bool = False
    queues: str | None = (
        None  #: JSON list of the queues that a worker takes from, "" for the default one; None: not said
    )


@dataclass(frozen=True)
class Silence:
    """A process that gives no sign of life, or a kind of which none runs (without a pid)."""

    kind: str
    since_ms: int | None  #: None: there never was a sign
    why: str
    host: str = ""
    pid: int = 0

    @property
    def since(self) -> str:
        return "ever" if self.since_ms is None else iso(self.since_ms)

    def __str__(self) -> str:
        who = f"{self.kind} {self.pid} on {self.host}" if self.pid else self.kind
        return f"{who}: {self.why}"


@dataclass(frozen=True)
class Liveness:
    """Who runs and who is silent, at one moment."""

    now_ms: int
    alive: list[ProcessRecord]
    silent: list[Silence]

    def of(self, kind: str) -> list[ProcessRecord]:
        """Those of a kind that run, the longest first."""
        return sorted((sign for sign in self.alive if sign.kind == kind), key=lambda sign: sign.since_ms)

    def can_run(self) -> bool:
        """Whether there is a worker at all."""
        return bool(self.of("worker"))


def report(
    me: ThisProcess, *, swept_ago_ms: int = -1, stopped: bool = False, queues: Sequence[str] | None = None
) -> None:
    """Say that this process lives, or that it was asked to stop."""
    process = f"{me.kind}@{me.host}:{me.pid}"
    state = "stopped" if stopped else "alive"
    said = asdict(me) | ({} if queues is None else {"queues": json.dumps(queues)})
    _sign(
        client.client(),
        {"signs": key()},
        process=process,
        sign=json.dumps(said),
        state=state,
        swept_ago_ms=swept_ago_ms,
        keep_ms=KEEP_MS,
        max_signs=MAX_PROCESSES,
    )


def current() -> Liveness:
    """Who runs and who is silent now, in one round trip."""
    with client.client().pipeline(transaction=False) as pipe:
        (seconds, micros), told = pipe.time().hgetall(key()).execute()
    return assess([_read(text) for text in told.values()], int(seconds) * 1000 + int(micros) // 1000)


def assess(signs: Iterable[ProcessRecord], now_ms: int) -> Liveness:
    """Tell the silent from the others. Whoever was asked to stop is not silent; a kind of which none runs is."""
    signs = list(signs)
    alive = [sign for sign in signs if not sign.stopped and now_ms - sign.seen_ms <= SILENT_MS]
    silent = [silence for kind in KINDS for silence in _silent(kind, signs, alive, now_ms)]
    return Liveness(now_ms, alive, [*silent, *_not_sweeping(alive, now_ms)])


def unserved_queues(backlogs: Iterable[Backlog], standing: Liveness) -> Iterator[Silence]:
    """Yield a silence for each queue in which calls wait and from which no worker takes any."""
    said = [sign.queues for sign in standing.of("worker")]
    if (
        not said or None in said
    ):  # that no worker runs is told anyway; one of an older version does not say what it takes
        return
    served = {queue for text in said for queue in json.loads(text or "[]")}
    for backlog in backlogs:
        if backlog.queue not in served and standing.now_ms - backlog.since_ms > UNSERVED_MS:
            key = f"the queue {backlog.queue!r}" if backlog.queue else "the default queue"
            calls = "a call waits" if backlog.calls == 1 else f"{backlog.calls} calls wait"
            why = f"no worker takes messages from {key}, and {calls} there since {iso(backlog.since_ms)}"
            yield Silence("queue", backlog.since_ms, why)


def _silent(kind: str, signs: list[ProcessRecord], alive: list[ProcessRecord], now_ms: int) -> Iterator[Silence]:
    ours = [sign for sign in signs if sign.kind == kind]
    running = [sign for sign in alive if sign.kind == kind]
    missing = [sign for sign in ours if not sign.stopped and sign not in running]
    found = [sign for sign in missing if not running or _matters(sign, running, now_ms)]
    for sign in sorted(found, key=lambda sign: sign.seen_ms)[-3:]:
        yield Silence(kind, sign.seen_ms, f"silent since {iso(sign.seen_ms)}{_how(sign)}", sign.host, sign.pid)
    if running or found:
        return
    last = max(ours, key=lambda sign: sign.seen_ms, default=None)
    if last is None:
        yield Silence(kind, None, "none has ever run here")
    else:
        yield Silence(kind, last.seen_ms, f"none runs; the last was stopped at {iso(last.seen_ms)}")


def _matters(sign: ProcessRecord, running: list[ProcessRecord], now_ms: int) -> bool:
    """Whether a silent process is missed although others run: not if its like began on its machine after it."""
    if _is_here(sign):
        return True
    replaced = any(other.host == sign.host and other.since_ms > sign.seen_ms for other in running)
    return not replaced and now_ms - sign.seen_ms < REPORTED_MS


def _not_sweeping(alive: list[ProcessRecord], now_ms: int) -> Iterator[Silence]:
    """Workers that live and do not sweep: nothing that is due or lost is sent by them."""
    for sign in alive:
        if sign.swept_ms is not None and now_ms - sign.swept_ms > SILENT_MS:
            why = f"no sweep went well since {iso(sign.swept_ms)}; its log says why"
            yield Silence("sweeper", sign.swept_ms, why, sign.host, sign.pid)


def _how(sign: ProcessRecord) -> str:
    if sign.host != os.uname().nodename:
        return ""
    return ", and its process is there: it is stopped or stuck" if _is_here(sign) else ", and its process is gone"


def _is_here(sign: ProcessRecord) -> bool:
    """Whether the very process is there, on this machine; False where nobody can know."""
    if sign.host != os.uname().nodename:
        return False
    try:
        return abs(psutil.Process(sign.pid).create_time() - sign.born) < SAME_START
    except psutil.Error:
        return False


def _read(text: str) -> ProcessRecord:
    told = json.loads(text)
    return ProcessRecord(**{each.name: told[each.name] for each in fields(ProcessRecord) if each.name in told})


def iso(ms: float) -> str:
    """Milliseconds since 1970 as UTC text, as exact as signs are."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
