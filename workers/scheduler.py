"""The scheduler that beat runs: each tick of each entry becomes one call, however many beats there are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import structlog
from celery.beat import Scheduler

from gatekeeper import door
from state import store, ticks
from state.store import StoreError
from workers.schedule import Entry, ScheduleError, load, tick

log = structlog.get_logger("gatehouse.scheduler")

#: Seconds. Beat looks at least this often, so that a clock that was set, or a store that came back, is noticed.
LONGEST_SLEEP = 5.0
#: Seconds until the next try when the store is away; the tick waits, it is not lost.
RETRY = 1.0


class TickScheduler(Scheduler):
    """`celery beat` with the schedule of `beat_schedule.py`; what already ran is kept in Redis."""

    def setup_schedule(self) -> None:
        """Read and check the table; a beat without a schedule ends with the line that is wrong."""
        try:
            self.entries = load()
        except ScheduleError as error:
            raise SystemExit(f"gatehouse: {error}") from None

    def tick(self, *_: Any, **__: Any) -> float:
        """Start what is due; returns the seconds to sleep."""
        now = datetime.now(UTC)
        try:
            for entry in self.entries.values():
                self._catch_up(entry, now)
        except StoreError as error:
            log.warning("tick waits", error=str(error), next=f"again in {RETRY} s")
            return RETRY
        upcoming = min((entry.next_after(now) for entry in self.entries.values()), default=now)
        return min(max((upcoming - datetime.now(UTC)).total_seconds(), 0.01), LONGEST_SLEEP)

    def close(self) -> None:
        """Nothing to store: the ledger has it."""

    def should_sync(self) -> bool:
        """Never, for the same reason."""
        return False

    def _catch_up(self, entry: Entry, now: datetime) -> None:
        redis, agent = store.client(), entry.gate.agent
        last = ticks.last(redis, agent, entry.name)
        dues = entry.dues(last, now)
        overlaps = bool(dues) and last is not None and ticks.is_open(redis, agent, tick(entry, last))
        if overlaps and entry.overlap == "queue":
            return  # they are due until they have run
        for due in dues:
            if not overlaps:
                start(self.app, entry, due, "beat")
            ticks.remember(redis, agent, entry.name, due)
            event = "tick skipped" if overlaps else "tick"
            log.info(event, entry=entry.name, agent=agent, task=entry.gate.name, due=due.isoformat())


def start(app: Any, entry: Entry, due: datetime, through: str) -> str:
    """Make the call of one tick; a tick that was started before is not started again. Answers the call's id."""
    call = tick(entry, due)
    with door.coming_from(through):
        app.send_task(entry.gate.name, kwargs=dict(entry.kwargs), task_id=call)
    return call
