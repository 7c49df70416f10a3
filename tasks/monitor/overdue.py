"""Which ticks are overdue: their time has come, and beat did not start them, or no worker took them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from gatekeeper.policies.spec import agents
from state.ledger import schedule_runs
from state.processes import backlog, liveness
from state.processes.liveness import Liveness
from tasks.monitor import schedule_checks
from tasks.monitor.schedule_checks import Plan

#: Beat looks every five seconds; a restart of it, or of a worker, takes half a minute at the most.
TOLERANCE = timedelta(seconds=60)


@dataclass(frozen=True)
class Overdue:
    """A tick that should have begun."""

    entry: str
    agent: str
    due: datetime
    why: str

    def __str__(self) -> str:
        return f"{self.entry} was due at {self.due:%Y-%m-%d %H:%M} UTC: {self.why}"


def overdue(standing: Liveness) -> list[Overdue]:
    """Every entry whose newest tick has not begun although its time has come."""
    now = datetime.fromtimestamp(standing.now_ms / 1000, UTC)
    found = (_of(plan, standing, now) for plan in schedule_checks.plans())
    return [each for each in found if each is not None]


def look() -> tuple[Liveness, list[Overdue]]:
    """Who runs, who is silent, and which ticks are overdue; raises StoreError."""
    standing = stand()
    return standing, overdue(standing)


def stand() -> Liveness:
    """Who runs and who is silent, and from which queues nobody takes what waits there; raises StoreError."""
    standing = liveness.current()
    deserted = liveness.unserved_queues(backlog.of_queues(agents()), standing)
    return replace(standing, silent=[*standing.silent, *deserted])


def _of(plan: Plan, standing: Liveness, now: datetime) -> Overdue | None:
    due = plan.times.latest_before(now)
    newest = schedule_runs.newest(plan.agent, plan.entry)
    if newest.due is not None and newest.due >= due:
        since = datetime.fromtimestamp(newest.at_ms / 1000, UTC)
        waits = newest.state == "queued" and now - since > TOLERANCE
        return Overdue(plan.entry, plan.agent, newest.due, "no worker has taken it") if waits else None
    if now - _expected(due, standing) <= TOLERANCE or _may_wait(plan, newest, standing):
        return None
    return Overdue(plan.entry, plan.agent, due, "it was not started")


def _expected(due: datetime, standing: Liveness) -> datetime:
    """When beat should have started it: as soon as it was due, or as soon as it ran itself."""
    began = [datetime.fromtimestamp(beat.since_ms / 1000, UTC) for beat in standing.of("beat")]
    return max([due, *began[:1]])


def _may_wait(plan: Plan, newest: schedule_runs.Newest, standing: Liveness) -> bool:
    """Whether the entry itself says that nothing is to be started now."""
    if plan.missed == "skip" and newest.due is not None and standing.of("beat"):
        return True
    return plan.overlap == "queue" and newest.state in schedule_runs.OPEN
