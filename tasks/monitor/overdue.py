"""Find overdue ticks: due times that beat did not start, or whose call no worker took."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from gatekeeper.policies.spec import agents
from gatekeeper.schedule.entries import Entry
from state.ledger import schedule_runs
from state.processes import backlog, liveness
from state.processes.liveness import Liveness
from tasks.monitor import schedule_checks

#: Beat looks every five seconds; a restart of beat or of a worker takes half a minute at most.
TOLERANCE = timedelta(seconds=60)


@dataclass(frozen=True)
class Overdue:
    """A tick that should have started; `due` is in UTC."""

    entry: str
    agent: str
    due: datetime
    why: str

    def __str__(self) -> str:
        return f"{self.entry} was due at {self.due:%Y-%m-%d %H:%M} UTC: {self.why}"


def current() -> tuple[Liveness, list[Overdue]]:
    """Return which processes run and which are silent, and the overdue ticks; raises StoreError."""
    running = current_liveness()
    now = datetime.fromtimestamp(running.now_ms / 1000, UTC)
    ticks = (_overdue(entry, running, now) for entry in schedule_checks.schedule().entries.values())
    return running, [tick for tick in ticks if tick is not None]


def current_liveness() -> Liveness:
    """Return which processes run, and as silent also the queues that no worker takes messages from; raises StoreError."""
    running = liveness.current()
    unserved = liveness.unserved_queues(backlog.of_queues(agents()), running)
    return replace(running, silent=[*running.silent, *unserved])


def _overdue(entry: Entry, running: Liveness, now: datetime) -> Overdue | None:
    due = entry.latest_before(now)
    newest = schedule_runs.newest(entry.agent, entry.name)
    if newest.due is not None and newest.due >= due:
        since = datetime.fromtimestamp(newest.at_ms / 1000, UTC)
        is_stuck = newest.state == "queued" and now - since > TOLERANCE
        return Overdue(entry.name, entry.agent, newest.due, "no worker has taken it") if is_stuck else None
    oldest = due if newest.due is None else min(due, entry.next_after(newest.due))
    if now - _expected(oldest, running) <= TOLERANCE or _may_wait(entry, newest, running):
        return None
    return Overdue(entry.name, entry.agent, due, "it was not started")


def _expected(due: datetime, running: Liveness) -> datetime:
    """Return when beat should have started a tick: at its due time, or when beat itself started."""
    began = [datetime.fromtimestamp(beat.since_ms / 1000, UTC) for beat in running.of("beat")]
    return max([due, *began[:1]])


def _may_wait(entry: Entry, newest: schedule_runs.Newest, running: Liveness) -> bool:
    """Return whether the entry's own policies say that nothing is to be started now."""
    if entry.missed == "skip" and newest.due is not None and running.of("beat"):
        return True
    return entry.overlap == "queue" and newest.state in schedule_runs.OPEN
