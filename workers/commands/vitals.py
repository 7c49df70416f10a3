"""Who runs, who is silent, and which ticks are overdue: what `gate doctor` and `gate status` say of the processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from state.model import iso
from state.processes.liveness import KINDS, Liveness, Silence
from tasks.monitor import overdue
from tasks.monitor.overdue import Overdue
from workers.commands.finding import Finding

#: What to do about a process that is silent, by its kind.
CHANGE = {
    "worker": "see docs/operations.md, Nothing runs; one that is stuck: kill -9 its pid, and it is started again",
    "beat": "see docs/operations.md, Nothing runs; one that is stuck: kill -9 its pid, and it is started again",
    "queue": "start a worker with --queues, or give it the queue: celery -A workers control add_consumer QUEUE",
    "sweeper": "read the log of that worker for: sweep failed",
}


def findings() -> Iterator[Finding]:
    """Workers, beats and sweepers, and the ticks that are overdue; raises StoreError."""
    standing, late = overdue.look()
    for kind in KINDS:
        yield from _of_kind(kind, standing)
    for silence in (each for each in standing.silent if each.kind not in KINDS):
        yield Finding(silence.kind, str(silence), CHANGE[silence.kind])
    told = "; ".join(map(str, late[:5]))
    yield Finding("ticks", told or "none is overdue", "look at beat and the workers" if late else "")


def _of_kind(kind: str, standing: Liveness) -> Iterator[Finding]:
    running = [f"{sign.pid} on {sign.host} since {iso(sign.since_ms, 'seconds')}" for sign in standing.of(kind)]
    if running:
        yield Finding(kind, f"{len(running)} alive: {', '.join(running[:5])}")
    for silence in (each for each in standing.silent if each.kind == kind):
        yield Finding(kind, str(silence), CHANGE[kind] if silence.pid else f"start it: {_start(kind)}")


def _start(kind: str) -> str:
    return f"make up, or systemctl start gatehouse-{kind}"


def silent_in_json(standing: Liveness) -> list[dict[str, Any]]:
    """Everybody who is silent, for programs."""
    return [_in_json(silence) for silence in standing.silent]


def _in_json(silence: Silence) -> dict[str, Any]:
    since = None if silence.since_ms is None else iso(silence.since_ms, "seconds")
    return {"kind": silence.kind, "host": silence.host, "pid": silence.pid, "since": since, "why": silence.why}


def overdue_in_json(late: list[Overdue], agent: str) -> list[dict[str, Any]]:
    """The ticks of one agent that are overdue, for programs."""
    return [{"entry": each.entry, "due": each.due.isoformat(), "why": each.why} for each in late if each.agent == agent]


def in_words(standing: Liveness, late: list[Overdue]) -> str:
    """What is wrong, line by line; who runs, if nothing is."""
    if not standing.silent and not late:
        counts = ", ".join(f"{len(standing.of(kind))} {kind}" for kind in KINDS)
        return f"{'processes':12}{counts} alive"
    return "\n".join([*(f"SILENT      {each}" for each in standing.silent), *(f"OVERDUE     {each}" for each in late)])
