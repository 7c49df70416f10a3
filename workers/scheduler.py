"""The scheduler that beat runs: it turns each due time of each entry into one call, however many beats run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from celery.beat import Scheduler

from gatekeeper import origin
from gatekeeper.errors import IdInUse
from gatekeeper.redact import describe
from gatekeeper.schedule.entries import MAX_MISSED, Entry, read, tick
from gatekeeper.tables.config_lines import TableError
from state import hints
from state.agents import history
from state.errors import JournalUnavailable, RedisAway, StoreError
from state.ledger import schedule_runs
from workers.pulse import PulseWriter

log = structlog.get_logger("gatehouse.scheduler")

#: Seconds: the longest sleep, so that beat notices a clock that was set, or a Redis that came back.
MAX_SLEEP = 5.0
#: What /metrics calls the end of a tick, by the event that the log has of it.
_BECAME = {"tick": "started", "tick skipped": "skipped", "tick too late": "too_late"}
#: Seconds to sleep while Redis is away, or while a tick waits for the run before it; no tick is lost meanwhile.
RETRY = 1.0


@dataclass(frozen=True)
class _Look:
    """The last look at an entry: when it was, until when no tick is due, and the newest tick as Redis has it."""

    at: datetime
    until: datetime
    newest: str | None


class TickScheduler(Scheduler):
    """The scheduler of `celery beat` for `beat_schedule.py`. Redis keeps which ticks have been started."""

    def setup_schedule(self) -> None:
        """Read and check the table. Log each row that cannot run, and leave it out; exit if no row is left."""
        try:
            schedule = read()
        except TableError as error:
            raise SystemExit(f"gatehouse: {error}") from None
        if schedule.refused and not schedule.entries:
            raise SystemExit("\n".join(f"gatehouse: {error}" for error in schedule.refused.values()))
        for name, refusal in schedule.refused.items():
            log.error(
                "schedule row refused", entry=name, error=str(refusal), hint="the other rows run; correct this one"
            )
        self.entries = schedule.entries
        self._retry_at: dict[str, datetime] = {}  #: by entry that failed
        self._logged: dict[str, str] = {}  #: by entry that failed: the error that was logged
        self._looks: dict[str, _Look] = {}  #: by entry that was looked at, and whose ticks do not wait
        self._pulse = PulseWriter("beat")

    def tick(self, *_: Any, **__: Any) -> float:
        """Start every tick that is due, and return the seconds to sleep."""
        self._pulse.report()
        try:
            now = schedule_runs.now()
            newest = schedule_runs.all_last(entry.spec.agent for entry in self.entries.values())
            waits = [
                self._try(entry, now)
                for entry in self.entries.values()
                if not self._is_quiet(entry, now, newest[entry.spec.agent].get(entry.name))
            ]
        except StoreError as error:
            log.warning("tick waits", error=str(error), hint=f"tried again in {RETRY} s")
            return RETRY
        sleep = min((self._until_next(entry, now) for entry in self.entries.values()), default=0.01)
        return min(sleep, RETRY if any(waits) else MAX_SLEEP)

    def close(self) -> None:
        """Report that this beat was asked to stop. Nothing has to be saved: Redis has it all."""
        self._pulse.stop()

    def should_sync(self) -> bool:
        """Return False: there is nothing to save."""
        return False

    def _is_quiet(self, entry: Entry, now: datetime, newest: str | None) -> bool:
        """Tell whether an entry needs no look: its newest tick is the one of the last look, and no other is due yet."""
        look = self._looks.get(entry.name)
        return look is not None and look.newest == newest and look.at <= now < look.until

    def _until_next(self, entry: Entry, now: datetime) -> float:
        """Return the seconds until an entry is due again."""
        look = self._looks.get(entry.name)
        if look and look.at <= now < look.until:
            return max((look.until - now).total_seconds(), 0.01)
        return _until_next(entry, now)

    def _try(self, entry: Entry, now: datetime) -> bool:
        """Start the due ticks of one entry, and tell whether one has to wait. An error does not stop the other entries."""
        self._looks.pop(entry.name, None)
        if now < self._retry_at.get(entry.name, now):
            return False
        try:
            waits = self._catch_up(entry, now)
        except JournalUnavailable as error:
            log.warning("tick waits", entry=entry.name, error=str(error), hint=f"tried again in {RETRY} s")
            return True
        except RedisAway:
            raise  # every entry would fail
        except Exception as error:  # noqa: BLE001 - one broken row must not stop the others; it is logged and kept for `gate schedule`
            self._failed(entry, now, describe(error))
            return False
        self._retry_at.pop(entry.name, None)
        self._logged.pop(entry.name, None)
        return waits

    def _failed(self, entry: Entry, now: datetime, why: str) -> None:
        """Log an entry's error once, and try the entry again at its next due time."""
        retry_at = now + timedelta(seconds=_until_next(entry, now))
        self._retry_at[entry.name] = retry_at
        if self._logged.get(entry.name) != why:
            self._logged[entry.name] = why
            hint = f"tried again at {retry_at.isoformat()}; the other rows run; see: {hints.gatehouse('schedule')}"
            log.error("schedule row failed", entry=entry.name, agent=entry.spec.agent, error=why, hint=hint)
        schedule_runs.failed(entry.spec.agent, entry.name, now, why)

    def _catch_up(self, entry: Entry, now: datetime) -> bool:
        """Start one entry's due ticks, oldest first, and tell whether one waits for the end of the run before it."""
        agent = entry.spec.agent
        last = schedule_runs.last(agent, entry.name)
        dues = entry.dues(last, now)
        missed = entry.missed_before(dues, last)
        queues, overlaps = entry.overlap == "queue", bool(dues) and _is_running(entry, dues)
        for due in dues:
            if entry.is_too_late(due, now):
                event = "tick too late"
                schedule_runs.passed_over(agent, entry.name, due, "it was later than its deadline allows")
            elif overlaps and queues:
                return True
            elif overlaps and not entry.makes_up_for(due, now):
                event = "tick skipped"
                schedule_runs.passed_over(agent, entry.name, due, "the run before it was still at work")
            else:
                start(self.app, entry, due, "beat")
                event, overlaps = "tick", overlaps or queues
            schedule_runs.remember(agent, entry.name, due, _BECAME[event], missed)
            missed, last = 0, due
            log.info(event, entry=entry.name, agent=agent, task=entry.spec.name, due=due.isoformat())
        self._looks[entry.name] = _Look(now, entry.next_after(now), last.isoformat() if last else None)
        return False


def _until_next(entry: Entry, now: datetime) -> float:
    """Return the seconds until the entry is due again."""
    return max((entry.next_after(now) - now).total_seconds(), 0.01)


def _is_running(entry: Entry, dues: list[datetime]) -> bool:
    """Tell whether an earlier run of this entry is not over; another beat may have started one of `dues` already."""
    agent = entry.spec.agent
    newest = schedule_runs.newest_started(agent, entry.name, 2 * MAX_MISSED)
    return schedule_runs.any_open(agent, [tick(entry, due) for due in newest if due not in dues])


def start(app: Any, entry: Entry, due: datetime, through: str) -> str:
    """Start one tick, unless it was started before; that holds also if its row has been changed since.

    Args:
        app: The Celery application.
        entry: The schedule entry.
        due: The tick's due time.
        through: The origin of the call, such as "beat" or "gate run".

    Returns:
        The call's id.

    """
    call = tick(entry, due)
    with origin.coming_from(through):
        try:
            app.accept(entry.spec.call((), dict(entry.kwargs), id=call, origin=origin.current()))
        except IdInUse as error:
            log.warning("tick ran as it was before", entry=entry.name, call=call, why=str(error))
    schedule_runs.started(entry.spec.agent, entry.name, due)
    return call


def tick_state(entry: Entry, due: datetime) -> str | None:
    """Return the state of this tick's call; "over" if its record has expired, None if it was never started."""
    agent = entry.spec.agent
    record = history.of_call(agent, tick(entry, due))
    if record is not None:
        return str(record["state"])
    return "over" if schedule_runs.was_started(agent, entry.name, due) else None
