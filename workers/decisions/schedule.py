"""Decisions about the schedule: run an entry now, or for the times at which it did not run."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Any

from gatekeeper.schedule.entries import Entry, read, tick
from state.ledger import Ledger
from workers.application import app
from workers.decisions.by import By, NotDecided, NotFound
from workers.scheduler import start, tick_state

#: Due times per backfill: three weeks of a half-hourly entry. More would flood the queue, and suggest a wrong date.
MAX_DUE_TIMES = 1000


def run(entry: str, by: By, *, due: datetime | None = None) -> dict[str, Any]:
    """Run one schedule entry now, or the tick of a due time if it did not run yet.

    Returns:
        `entry`, `task`, `call`, `due` and `before`: the state of a tick that ran before, else None.

    Raises:
        NotFound: There is no such entry.
        JournalUnavailable: The call cannot be kept.

    """
    known = _entry(entry)
    time = due or datetime.now(UTC).replace(microsecond=0)
    state = tick_state(known, time)
    call = tick(known, time) if state == "over" else start(app, known, time, "gate run")
    if state is None:
        Ledger().note(known.spec.agent, by.said("run", entry), "", call)
    return {"entry": entry, "task": known.spec.name, "call": call, "due": time.isoformat(), "before": state}


def backfill(entry: str, begin: datetime, end: datetime, by: By | None) -> list[dict[str, Any]]:
    """Run an entry for each time at which it was due and did not run.

    Args:
        entry: The schedule entry.
        begin: The first time.
        end: The last time; later than now counts as now.
        by: Who asks for it; None to say only what would be started.

    Returns:
        For each time `due`, `call`, `before` (its state, or None) and `started`.

    Raises:
        NotFound: There is no such entry.
        NotDecided: The range is empty, or too wide.
        JournalUnavailable: A call cannot be kept.

    """
    known = _entry(entry)
    rows = [_row(known, due, dry_run=by is None) for due in _due_times(known, begin, end)]
    started = [row["due"] for row in rows if row["started"]]
    if by and started:
        range_ = f"{begin.isoformat()} to {end.isoformat()}"
        Ledger().note(known.spec.agent, by.said("backfill", entry), range_, f"{len(started)} started")
    return rows


def _entry(name: str) -> Entry:
    schedule = read()
    if name in schedule.refused:
        raise schedule.refused[name]
    if name not in schedule.entries:
        raise NotFound(f"there is no schedule entry {name!r}; there are: {', '.join(schedule.entries)}")
    return schedule.entries[name]


def _due_times(entry: Entry, begin: datetime, end: datetime) -> list[datetime]:
    if begin > end:
        raise NotDecided(f"the first time {begin.isoformat()} is later than the last one, {end.isoformat()}")
    due_times = list(islice(entry.slots(begin, min(end, datetime.now(UTC))), MAX_DUE_TIMES + 1))
    if len(due_times) > MAX_DUE_TIMES:
        raise NotDecided(f"{entry.name} was due more than {MAX_DUE_TIMES} times in that range; choose a narrower one")
    return due_times


def _row(entry: Entry, due: datetime, *, dry_run: bool) -> dict[str, Any]:
    state = tick_state(entry, due)
    starts = state is None and not dry_run
    call = start(app, entry, due, "gate backfill") if starts else tick(entry, due)
    return {"due": due.isoformat(), "call": call, "before": state, "started": starts}
