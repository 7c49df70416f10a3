"""The entries of the schedule: when each ran, when it runs next, and what became of each tick."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from gatekeeper.schedule.entries import ON_TIME, Entry, tick
from gatekeeper.schedule.entries import read as read_schedule
from state.ledger import schedule_runs
from tasks.reporter import charts

#: Missed due times that are counted: three weeks of a half-hourly entry.
MAX_COUNTED = 1000
#: Due times to come, and past ones, that a page shows.
NEXT, PAST = 5, 10


#: Longer than between five due times of any entry: the 29th of February.
_FAR = timedelta(days=50 * 366)


@dataclass(frozen=True)
class Tick:
    """One due time that has passed; `state` is that of its call, "over" if that is forgotten, None if none was started."""

    due: datetime
    call: str
    state: str | None
    fate: str  #: what became of it, in words; empty if its state says it


@dataclass(frozen=True)
class EntryReading:
    """One entry with its newest tick; times are in UTC."""

    entry: Entry
    now: datetime
    last: datetime | None  #: when the newest tick was due that beat looked at
    state: str | None  #: of that tick's call
    missed: int  #: due times since then that beat did not look at, up to MAX_COUNTED
    failure: dict[str, str] | None  #: when and why the newest tick could not be started

    @property
    def problem(self) -> str | None:
        """The reason for which the newest tick could not be started; None if it could."""
        failure = self.failure
        return None if failure is None else f"the tick of {failure['at']} could not be started: {failure['why']}"

    def as_json(self) -> dict[str, Any]:
        """Return what `gatehouse schedule --json` prints."""
        entry = self.entry
        return {
            "entry": entry.name,
            "cron": entry.cron,
            "zone": str(entry.zone),
            "task": entry.spec.name,
            "missed": entry.missed,
            "overlap": entry.overlap,
            "last": self.last and self.last.isoformat(),
            "state": self.state,
            "next": self.coming(1)[0].isoformat(),
            "missed_ticks": self.missed,
            "problem": self.problem,
        }

    def coming(self, number: int = NEXT) -> list[datetime]:
        """Return the next due times, which are all to come."""
        first = self.entry.next_after(self.now)
        return list(islice(self.entry.slots(first, first + _FAR), number))

    def ticks(self, number: int = PAST) -> list[Tick]:
        """Return the newest past due times with what became of each, newest first; none from before its first run."""
        agent, name = self.entry.agent, self.entry.name
        first = schedule_runs.first_started(agent, name)
        begin = min(filter(None, (first, self.last)), default=self.now)
        dues = [due for due in self._backwards(number) if due >= begin]
        states = schedule_runs.states(agent, name, dues)
        reasons = schedule_runs.reasons(agent, name)
        made_up: datetime | None = None
        found = []
        for due, state in zip(dues, states, strict=True):
            fate = "" if state else self._fate(due, reasons.get(due), made_up)
            made_up = due if state else made_up
            found.append(Tick(due, tick(self.entry, due), state, fate))
        return found

    def _backwards(self, number: int) -> list[datetime]:
        due, found = self.now, []
        for _ in range(number):
            due = self.entry.latest_before(due)
            found.append(due)
            due -= timedelta(microseconds=2)
        return found

    def _fate(self, due: datetime, reason: str | None, made_up: datetime | None) -> str:
        """Return what became of a tick that was not started; `made_up` is the next one after it that was."""
        if reason:
            return f"skipped: {reason}"
        if self.last is None or due > self.last:
            return "about to start" if self.now - due <= ON_TIME else "missed so far: beat did not start it"
        if made_up and self.entry.missed == "latest":
            return f"missed; the tick of {made_up:%d %b %H:%M} UTC made up for it"
        return "missed, and not made up for"

    @property
    def told(self) -> str:
        """The treatment of ticks that are missed, that overlap, or that are late, in words."""
        entry = self.entry
        late = (
            f" A run may start {charts.duration(round(entry.deadline.total_seconds() * 1000))} late."
            if entry.deadline
            else ""
        )
        return f"{_MISSED[entry.missed]} {_OVERLAP[entry.overlap]}{late}"


_MISSED = {
    "latest": "Of the ticks that were missed, the newest runs.",
    "all": "Each tick that was missed runs, the newest 24 at most.",
    "skip": "Ticks that were missed do not run.",
}
_OVERLAP = {
    "skip": "A tick is left out while the run before it is at work.",
    "queue": "A tick waits until the run before it has ended.",
}


def in_json(now: datetime) -> list[dict[str, Any]]:
    """Return every row of the schedule, as `gatehouse schedule --json` prints it. Raises TableError."""
    schedule = read_schedule()
    rows = [read(entry, now).as_json() for entry in schedule.entries.values()]
    return [*rows, *({"entry": name, "problem": str(error)} for name, error in schedule.refused.items())]


def read(entry: Entry, now: datetime) -> EntryReading:
    """Return what is known of an entry. Raises StoreError."""
    newest = schedule_runs.newest(entry.agent, entry.name)
    failure = schedule_runs.failure(entry.agent, entry.name)
    return EntryReading(entry, now, newest.due, newest.state, _missed(entry, newest.due, now), failure)


def _missed(entry: Entry, last: datetime | None, now: datetime) -> int:
    """Return how many due times passed since the last tick, up to MAX_COUNTED; beat gets ON_TIME for each."""
    if last is None:
        return 0
    return sum(1 for _ in islice(entry.slots(last + timedelta(seconds=1), now - ON_TIME), MAX_COUNTED))
