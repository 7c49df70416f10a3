"""The agents in one line each, as the desk's first page shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tasks.reporter import charts
from tasks.reporter.charts import Column
from workers.readings import agents as readings
from workers.readings.agents import AgentReading
from workers.readings.limits import LimitLeft
from workers.readings.weeks import OUTCOMES, Week

#: Pixels of a small chart of a week.
HEIGHT = 30
#: Limits of an agent that its line names: those that stop something.
MAX_LIMITS = 3


@dataclass(frozen=True)
class AgentRow:
    """One agent in one line."""

    name: str
    activity: str
    told: str
    autonomy: str
    pauses: list[dict[str, Any]]
    last: str | None
    next: tuple[str, datetime] | None
    waiting: int
    limits: list[str]
    chart: list[Column]
    numbers: str


def rows(names: Sequence[str] | None = None) -> list[AgentRow]:
    """Return the lines of these agents, or of all. Raises StoreError."""
    return [row(each) for each in readings.read(names)]


def row(agent: AgentReading) -> AgentRow:
    """Return the line of an agent."""
    return AgentRow(
        name=agent.name,
        activity=agent.activity,
        told=told(agent),
        autonomy=agent.autonomy,
        pauses=agent.pauses,
        last=agent.head["last_run"],
        next=agent.next,
        waiting=agent.waiting,
        limits=[limit_in_words(each) for each in agent.limits if each.is_bad][:MAX_LIMITS],
        chart=chart(agent.week),
        numbers=numbers(agent.week),
    )


def chart(week: Week) -> list[Column]:
    """Return the columns of the chart of a week."""
    return charts.stacked([(f"{day:%a %d}", counts) for day, counts in week], HEIGHT)


def numbers(week: Week) -> str:
    """Return the numbers of the chart as text."""
    totals = {name: sum(counts[name] for _, counts in week) for name in OUTCOMES}
    told = ", ".join(f"{total:,} {name}" for name, total in totals.items() if total)
    return f"7 days: {told or 'nothing ran'}"


def limit_in_words(limit: LimitLeft) -> str:
    """Return a limit and what is left of it in one line."""
    where = f" ({limit.scope})" if limit.scope else ""
    return f"{limit.kind} {limit.rule} of {limit.task}{where}: {limit.left}"


def told(agent: AgentReading) -> str:
    """Return how an agent is, in a sentence."""
    match agent.activity:
        case "gone":
            return "Its module is gone; its state and its open calls are still here."
        case "paused":
            tasks = sorted({str(each["task"]) for each in agent.pauses if "task" in each})
            is_whole = any("task" not in each for each in agent.pauses)
            return (
                "Nothing of it starts." if is_whole else f"Calls of {' and '.join(tasks)} do not start; the others do."
            )
        case "not running":
            return "No worker runs: start the system with make up."
        case "closed":
            return f"Its effects wait: {agent.closed}."
        case "overdue":
            return "; ".join(f"{each.entry} is overdue: {each.why}" for each in agent.overdue) + "."
    return ""
