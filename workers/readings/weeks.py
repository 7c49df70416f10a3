"""The outcomes of an agent's attempts in the last seven days, counted as the event stream grows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from threading import Lock

from state.agents import events

#: Days of a chart, today included.
DAYS = 7
#: From the bottom of a column to its top.
OUTCOMES = ("done", "failed", "unknown", "refused")

Week = list[tuple[date, dict[str, int]]]


@dataclass
class _Counted:
    """The counts of one stream, up to an entry of it."""

    entry: str = ""
    days: dict[date, Counter[str]] = field(default_factory=dict)


class Weeks:
    """The weeks of all agents. This process reads each event once: a page shows every agent, and is asked for often."""

    def __init__(self) -> None:
        self._counted: dict[str, _Counted] = {}
        self._counting = Lock()

    def of(self, agents: Sequence[str], now: datetime) -> dict[str, Week]:
        """Return the outcomes of each agent by day, oldest first; days are those of UTC. Raises StoreError."""
        newest = events.newest_entries(agents)
        with self._counting:
            return {agent: self._week(agent, newest[agent], now) for agent in agents}

    def _week(self, agent: str, newest: str, now: datetime) -> Week:
        counted = self._counted.get(agent)
        if counted is None or _number(newest) < _number(counted.entry):  # the stream is another one
            counted = self._counted[agent] = _Counted()
        if newest != counted.entry:
            for entry, past in events.after(agent, counted.entry):
                day = datetime.fromtimestamp(past.at_ms / 1000, UTC).date()
                counted.days.setdefault(day, Counter())[past.outcome] += 1
                counted.entry = entry
        days = [now.astimezone(UTC).date() - timedelta(days=ago) for ago in reversed(range(DAYS))]
        counted.days = {day: counts for day, counts in counted.days.items() if day >= days[0]}
        return [(day, {name: counted.days.get(day, Counter())[name] for name in OUTCOMES}) for day in days]


def _number(entry: str) -> tuple[int, int]:
    """Return an entry of a stream as numbers, which are in the order of the stream."""
    ms, _, number = entry.partition("-")
    return int(ms or 0), int(number or 0)


_here = Weeks()


def of(agents: Sequence[str], now: datetime) -> dict[str, Week]:
    """Return the outcomes of each agent in the last seven days, by day, oldest first. Raises StoreError."""
    return _here.of(agents, now)
