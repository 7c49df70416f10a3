"""The processes in `gate doctor` and `gate status`: those that run, those that are silent, overdue ticks, and the hosts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from state import hints
from state.formatting import iso
from state.processes.liveness import KINDS, Liveness, Silence
from tasks.monitor import overdue
from tasks.monitor.overdue import Overdue
from workers.readings import hosts as readings

#: What to do about a silent process, by its kind.
CHANGE = {
    "worker": "see docs/operations/worker-stopped.md; one that is stuck: kill -9 its pid, and it is started again",
    "beat": "see docs/operations/beat-stopped.md; one that is stuck: kill -9 its pid, and it is started again",
    "queue": f"start a worker with --queues, or give it the queue: {hints.celery('control', 'add_consumer', 'QUEUE')}",
    "sweeper": "read the log of that worker for: sweep failed",
}


@dataclass(frozen=True)
class Finding:
    """A check, what it found, and what to change; `change` is empty if nothing is wrong."""

    check: str
    found: str
    change: str = ""

    @property
    def ok(self) -> bool:
        """True if nothing has to be changed."""
        return not self.change


def findings() -> Iterator[Finding]:
    """Yield a finding for each kind of process, each silent queue or sweeper, the overdue ticks, and the hosts. Raises StoreError."""
    liveness, late = overdue.current()
    for kind in KINDS:
        yield from _of_kind(kind, liveness)
    for silence in (each for each in liveness.silent if each.kind not in KINDS):
        yield Finding(silence.kind, str(silence), what_to_do(silence))
    text = "; ".join(map(str, late[:5]))
    yield Finding("ticks", text or "none is overdue", "look at beat and the workers" if late else "")
    yield from _of_hosts()


def _of_kind(kind: str, liveness: Liveness) -> Iterator[Finding]:
    running = [
        f"{process.pid} on {process.host} since {iso(process.since_ms, 'seconds')}" for process in liveness.of(kind)
    ]
    if running:
        yield Finding(kind, f"{len(running)} alive: {', '.join(running[:5])}")
    for silence in (each for each in liveness.silent if each.kind == kind):
        yield Finding(kind, str(silence), what_to_do(silence))


def _of_hosts() -> Iterator[Finding]:
    """Yield what is wrong with the hosts that share this Redis; of one host alone there is nothing to say."""
    known = readings.read()
    wrong = [Finding("hosts", found, change) for found, change in readings.problems(known)]
    if len(known) > 1 and not wrong:
        wrong = [Finding("hosts", ", ".join(f"{each.host.name} {each.host.state}" for each in known))]
    yield from wrong


def what_to_do(silence: Silence) -> str:
    """Return what a person can do about a silence."""
    if silence.kind in KINDS and not silence.pid:
        return f"start it: make up, or systemctl start gatehouse-{silence.kind}"
    return CHANGE[silence.kind].replace("its pid", str(silence.pid))


def silent_in_json(liveness: Liveness) -> list[dict[str, Any]]:
    """Return every silent process as JSON."""
    return [
        {"kind": each.kind, "host": each.host, "pid": each.pid, "since": each.since_ms and each.since, "why": each.why}
        for each in liveness.silent
    ]


def overdue_in_json(late: list[Overdue], agent: str) -> list[dict[str, Any]]:
    """Return the overdue ticks of one agent as JSON."""
    return [{"entry": each.entry, "due": each.due.isoformat(), "why": each.why} for each in late if each.agent == agent]
