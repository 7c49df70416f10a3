"""The schedule: the entries of `beat_schedule.py`, checked, and the due times of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from types import ModuleType
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

import beat_schedule
from gatekeeper.durations import milliseconds
from gatekeeper.errors import InvalidArguments, PolicyError
from gatekeeper.gate import TICK, Gate, registered
from workers import tables

#: With "all", at most this many missed ticks are made up for: a day of an hourly entry.
MOST_MISSED = 24
#: A tick that is seen this late was missed; until then beat was only slow.
ON_TIME = timedelta(seconds=60)
#: A newest tick this far ahead was started by a clock that was wrong; waiting for its time would be silence.
WRONG_CLOCK = timedelta(days=1)


class ScheduleError(ValueError):
    """Raised when the table names something that does not exist or cannot run; says in which line."""


def _duration(text: Any) -> timedelta:
    try:
        return timedelta(milliseconds=milliseconds(text))
    except PolicyError as error:
        raise ValueError(str(error)) from None


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    cron: str
    task: str
    kwargs: dict[str, Any] = {}
    missed: Literal["latest", "all", "skip"] = "latest"
    overlap: Literal["skip", "queue"] = "skip"
    deadline: Annotated[timedelta, BeforeValidator(_duration)] | None = None


@dataclass(frozen=True)
class Entry:
    """One line of the schedule. Due times are in UTC."""

    name: str
    cron: str
    gate: Gate
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    missed: Literal["latest", "all", "skip"] = "latest"
    overlap: Literal["skip", "queue"] = "skip"
    deadline: timedelta | None = None  #: how late a tick may still start
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))

    def next_after(self, moment: datetime) -> datetime:
        """The first due time after `moment`."""
        return next(CronSim(self.cron, moment.astimezone(self.zone))).astimezone(UTC)

    def latest_before(self, moment: datetime) -> datetime:
        """The newest due time that is not after `moment`."""
        just_after = moment.astimezone(self.zone) + timedelta(microseconds=1)
        due = next(CronSim(self.cron, just_after, reverse=True)).astimezone(UTC)
        while (later := self.next_after(due)) <= moment:
            due = later  # looking back, cronsim passes over the hour that comes twice in autumn
        return due

    def dues(self, last: datetime | None, now: datetime) -> list[datetime]:
        """The ticks to run now, oldest first, given the last one that ran. On a first start that is the latest."""
        latest = self.latest_before(now)
        if last is None or last > now + WRONG_CLOCK:
            return [latest]
        if latest <= last:
            return []
        if self.missed == "skip":
            return [latest] if now - latest < ON_TIME else []
        if self.missed == "latest":
            return [latest]
        return list(islice(takewhile(lambda due: due > last, self._backwards(now)), MOST_MISSED))[::-1]

    def is_too_late(self, due: datetime, now: datetime) -> bool:
        """Whether the tick of this time is past its deadline."""
        return self.deadline is not None and now - due > self.deadline

    def makes_up_for(self, due: datetime, now: datetime) -> bool:
        """Whether this tick was missed and runs in any case: an overlap policy is for ticks that come in time."""
        return self.missed == "all" and now - due >= ON_TIME

    def slots(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """Every due time from `begin` to `end`, both included, oldest first."""
        ahead = CronSim(self.cron, (begin - timedelta(microseconds=1)).astimezone(self.zone))
        return takewhile(lambda due: due <= end, (due.astimezone(UTC) for due in ahead))

    def _backwards(self, moment: datetime) -> Iterator[datetime]:
        while True:
            moment = self.latest_before(moment)
            yield moment
            moment -= timedelta(microseconds=2)


def tick(entry: Entry, due: datetime) -> str:
    """The identity of one tick: the entry and its due time, never "now"."""
    return f"{TICK}{entry.name}:{due.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}"


def load(table: ModuleType = beat_schedule) -> dict[str, Entry]:
    """Every entry of the table; raises ScheduleError for the first that cannot run."""
    zone = _zone(table)
    return {name: _entry(table, name, row, zone) for name, row in table.schedule.items()}


def _zone(table: ModuleType) -> ZoneInfo:
    name = getattr(table, "timezone", "UTC")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ScheduleError(
            f"{table.__file__}: timezone {name!r} is not known; write for example 'Europe/Berlin'"
        ) from None


def _entry(table: ModuleType, name: str, given: Any, zone: ZoneInfo) -> Entry:
    try:
        row = _Row.model_validate(given)
        CronSim(row.cron, datetime.now(UTC))
        gate = registered()[row.task]
        gate.contract.bind((), row.kwargs)
    except ValidationError as error:
        problem = error.errors()[0]
        raise _refusal(table, name, f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None
    except CronSimError as error:
        raise _refusal(table, name, f"cron {row.cron!r}: {error}; write minute hour day month weekday") from None
    except KeyError:
        known = ", ".join(sorted(registered()))
        raise _refusal(table, name, f"there is no task {row.task!r}; there are: {known}") from None
    except InvalidArguments as error:
        raise _refusal(table, name, str(error)) from None
    return Entry(name, row.cron, gate, row.kwargs, row.missed, row.overlap, row.deadline, zone)


def _refusal(table: ModuleType, name: str, why: str) -> ScheduleError:
    return ScheduleError(f"{tables.place(table, [name])}: entry {name!r}: {why}")
