"""The condition of each agent: whether it runs, who paused it, its week, its limits, and what comes next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gatekeeper.policies.spec import agents as task_agents
from state.agents import pause as pauses
from state.agents.snapshot import Snapshot, snapshot
from state.errors import JournalUnavailable
from state.ledger import Ledger, LedgerStatus
from tasks.monitor import overdue, schedule_checks
from tasks.monitor.overdue import Overdue
from workers.people import all_agents
from workers.readings import entries, limits, weeks
from workers.readings.entries import EntryReading
from workers.readings.limits import LimitLeft
from workers.readings.weeks import Week

#: Counters that the model ladder keeps.
_MODEL_COUNTERS = ("tokens_", "rung_")


@dataclass(frozen=True)
class AgentReading:
    """One agent at one moment; times are ISO 8601 in UTC."""

    name: str
    state: Snapshot
    closed: str | None  #: why its effects are closed
    can_run: bool  #: a worker runs
    has_tasks: bool  #: its module still exists
    waiting: int  #: keys that wait for a person
    overdue: list[Overdue]
    entries: list[EntryReading]
    week: Week
    limits: list[LimitLeft]

    @property
    def head(self) -> dict[str, Any]:
        return self.state.head

    @property
    def pauses(self) -> list[dict[str, Any]]:
        """The reasons for which its calls may not start."""
        return list(pauses.reasons(self.head["pause"]))

    @property
    def autonomy(self) -> str:
        """The mode in which it works: `observe`, `ask` or `act`."""
        return str(self.head.get("autonomy", "act"))

    @property
    def activity(self) -> str:
        """The word for how it is: `paused`, `not running`, `closed`, `overdue`, `gone` or `running`."""
        if not self.has_tasks:
            return "gone"
        if self.head["paused"]:
            return "paused"
        if not self.can_run:
            return "not running"
        if self.closed:
            return "closed"
        return "overdue" if self.overdue else "running"

    @property
    def is_well(self) -> bool:
        return self.activity == "running"

    @property
    def next(self) -> tuple[str, datetime] | None:
        """Its next run: the schedule entry and the time; None if nothing runs it by the clock."""
        coming = [(each.coming(1)[0], each.entry.name) for each in self.entries]
        return min(coming)[::-1] if coming else None

    @property
    def models(self) -> dict[str, str]:
        """The traces of the model ladder: tokens spent, and how the newest answers were made."""
        metrics: dict[str, int] = self.head["metrics"]
        traces = {
            name.replace("_", " "): f"{total:,}" for name, total in metrics.items() if name.startswith(_MODEL_COUNTERS)
        }
        for name, fact in self.state.facts.items():
            if isinstance(fact, dict) and isinstance(fact.get("rung"), str):
                by = f" ({fact['by']})" if isinstance(fact.get("by"), str) else ""
                traces[f"newest {name.replace('_', ' ')}"] = f"made by {fact['rung']}{by}"
        return traces


def read(names: Sequence[str] | None = None) -> list[AgentReading]:
    """Return how these agents are, or all of them. Raises StoreError."""
    names = all_agents() if names is None else names
    now = datetime.now(UTC)
    liveness, late = overdue.current()
    schedule = [
        entries.read(entry, now) for entry in schedule_checks.schedule().entries.values() if entry.agent in names
    ]
    ledger, week, known = ledgers(names), weeks.of(names, now), set(task_agents())
    waiting = Ledger().count_waiting(names)
    return [
        AgentReading(
            name,
            snapshot(name),
            ledger[name].closed,
            liveness.can_run(),
            name in known,
            waiting[name],
            [each for each in late if each.agent == name],
            [each for each in schedule if each.entry.agent == name],
            week[name],
            limits.of_agent(name),
        )
        for name in names
    ]


def refused_entries() -> Iterator[tuple[str, str]]:
    """Yield the rows of the schedule that cannot run, each with what is wrong."""
    for name, error in schedule_checks.schedule().refused.items():
        yield name, str(error)


def ledgers(names: Sequence[str]) -> dict[str, LedgerStatus]:
    """Return whether effects are closed, and why, by agent; a journal that cannot be read closes those of all."""
    try:
        return Ledger().statuses(list(names))
    except JournalUnavailable as error:
        return dict.fromkeys(names, LedgerStatus.without_journal(error))
