"""The scheduler that beat runs: each tick of each entry becomes one call, however many beats there are."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog
from celery.beat import Scheduler

from gatekeeper import origin
from gatekeeper.errors import IdInUse
from gatekeeper.redact import describe
from gatekeeper.schedule.entries import MAX_MISSED, Entry, ScheduleError, read, tick
from state.agents import history
from state.errors import JournalUnavailable, RedisAway, StoreError
from state.ledger import schedule_runs
from workers.pulse import Pulse

log = structlog.get_logger("gatehouse.scheduler")

#: Seconds. Beat looks at least this often, so that a clock that was set, or a store that came back, is noticed.
MAX_SLEEP = 5.0
#: Seconds until the next look when the store is away, or a tick waits for the run before; neither is lost.
RETRY = 1.0


class TickScheduler(Scheduler):
    """`celery beat` with the schedule of `beat_schedule.py`; what already ran is kept in Redis."""

    def setup_schedule(self) -> None:
        """Read and check the table. A row that cannot run is told and left out; without any row beat ends."""
        try:
            schedule = read()
        except ScheduleError as error:
            raise SystemExit(f"gatehouse: {error}") from None
        if schedule.refused and not schedule.entries:
            raise SystemExit("\n".join(f"gatehouse: {error}" for error in schedule.refused.values()))
        for name, refusal in schedule.refused.items():
            log.error(
                "schedule row refused", entry=name, error=str(refusal), next="the other rows run; correct this one"
            )
        self.entries = schedule.entries
        self._again: dict[str, datetime] = {}
        self._told: dict[str, str] = {}
        self._pulse = Pulse("beat")

    def tick(self, *_: Any, **__: Any) -> float:
        """Start what is due; returns the seconds to sleep."""
        self._pulse.give()
        try:
            now = schedule_runs.now()
            waits = [self._try(entry, now) for entry in self.entries.values()]
        except StoreError as error:
            log.warning("tick waits", error=str(error), next=f"again in {RETRY} s")
            return RETRY
        sleep = min((_until_next(entry, now) for entry in self.entries.values()), default=0.01)
        return min(sleep, RETRY if any(waits) else MAX_SLEEP)

    def close(self) -> None:
        """Say that this beat was asked to stop; the ledger has the rest."""
        self._pulse.leave()

    def should_sync(self) -> bool:
        """Never, for the same reason."""
        return False

    def _try(self, entry: Entry, now: datetime) -> bool:
        """True if a tick of this entry waits. What is wrong with one entry, or its agent, holds up no other."""
        if now < self._again.get(entry.name, now):
            return False
        try:
            waits = self._catch_up(entry, now)
        except JournalUnavailable as error:
            log.warning("tick waits", entry=entry.name, error=str(error), next=f"again in {RETRY} s")
            return True
        except RedisAway:
            raise  # the entry is not to blame
        except Exception as error:  # noqa: BLE001 - whatever it was, it is told, and the other rows run
            self._failed(entry, now, describe(error))
            return False
        self._again.pop(entry.name, None)
        self._told.pop(entry.name, None)
        return waits

    def _failed(self, entry: Entry, now: datetime, why: str) -> None:
        """Say once what is wrong with this entry, and try it again at its next time."""
        again = now + timedelta(seconds=_until_next(entry, now))
        self._again[entry.name] = again
        if self._told.get(entry.name) != why:
            self._told[entry.name] = why
            next_ = f"again at {again.isoformat()}; the other rows run; see: celery -A workers gate schedule"
            log.error("schedule row failed", entry=entry.name, agent=entry.gate.agent, error=why, next=next_)
        schedule_runs.failed(entry.gate.agent, entry.name, now, why)

    def _catch_up(self, entry: Entry, now: datetime) -> bool:
        """Start what is due of one entry, oldest first; True if a tick waits until the run before is over."""
        agent = entry.gate.agent
        dues = entry.dues(schedule_runs.last(agent, entry.name), now)
        queues, overlaps = entry.overlap == "queue", bool(dues) and _is_running(entry, dues)
        for due in dues:
            if entry.is_too_late(due, now):
                event = "tick too late"
            elif overlaps and queues:
                return True
            elif overlaps and not entry.makes_up_for(due, now):
                event = "tick skipped"
            else:
                start(self.app, entry, due, "beat")
                event, overlaps = "tick", overlaps or queues
            schedule_runs.remember(agent, entry.name, due)
            log.info(event, entry=entry.name, agent=agent, task=entry.gate.name, due=due.isoformat())
        return False


def _until_next(entry: Entry, now: datetime) -> float:
    """Seconds until the entry is due again."""
    return max((entry.next_after(now) - now).total_seconds(), 0.01)


def _is_running(entry: Entry, dues: list[datetime]) -> bool:
    """Whether a run of this entry is not over. One of `dues` itself may be: another beat was quicker."""
    agent = entry.gate.agent
    newest = schedule_runs.newest_started(agent, entry.name, 2 * MAX_MISSED)
    return schedule_runs.any_open(agent, [tick(entry, due) for due in newest if due not in dues])


def start(app: Any, entry: Entry, due: datetime, through: str) -> str:
    """Make the call of one tick; a tick that was started before is not started again, also if its row was changed since.

    Answers the call's id.
    """
    call = tick(entry, due)
    with origin.coming_from(through):
        try:
            app.accept(entry.gate.call((), dict(entry.kwargs), id=call, door=origin.current()))
        except IdInUse as error:
            log.warning("tick ran as it was before", entry=entry.name, call=call, why=str(error))
    schedule_runs.started(entry.gate.agent, entry.name, due)
    return call


def before(entry: Entry, due: datetime) -> str | None:
    """Where the run of this tick stands; "over" if it ran too long ago to know more, None if it never started."""
    agent = entry.gate.agent
    told = history.of_call(agent, tick(entry, due))
    if told is not None:
        return str(told["state"])
    return "over" if schedule_runs.was_started(agent, entry.name, due) else None
