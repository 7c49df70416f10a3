"""The schedule: the entries of `beat_schedule.py`, checked, and the due times of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import islice, takewhile
from types import ModuleType
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from gatekeeper.errors import GatekeeperError, InvalidArguments, PolicyError
from gatekeeper.policies.durations import duration_ms
from gatekeeper.policies.spec import TICK_PREFIX, TaskSpec, registered
from gatekeeper.schedule.cron import Cron, CronError
from gatekeeper.tables import config_lines

#: With "all", at most this many missed ticks are made up for: a day of an hourly entry.
MAX_MISSED = 24
#: A tick that is seen this late was missed; until then beat was only slow.
ON_TIME = timedelta(seconds=60)
#: A newest tick this far ahead was started by a clock that was wrong; waiting for its time would be silence.
WRONG_CLOCK = timedelta(days=1)

#: Characters of an entry's name.
MAX_NAME = 100


class ScheduleError(ValueError):
    """Raised when the table names something that does not exist or cannot run; says in which line."""


def _duration(text: Any) -> timedelta:
    try:
        return timedelta(milliseconds=duration_ms(text))
    except PolicyError as error:
        raise ValueError(str(error)) from None
    except OverflowError:
        raise ValueError("is longer than time itself; write for example '2h'") from None


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
    gate: TaskSpec
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    missed: Literal["latest", "all", "skip"] = "latest"
    overlap: Literal["skip", "queue"] = "skip"
    deadline: timedelta | None = None  #: how late a tick may still start
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))

    @cached_property
    def times(self) -> Cron:
        return Cron(self.cron, self.zone)

    def next_after(self, moment: datetime) -> datetime:
        """The first due time after `moment`."""
        return self.times.next_after(moment)

    def latest_before(self, moment: datetime) -> datetime:
        """The newest due time that is not after `moment`."""
        return self.times.latest_before(moment)

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
        return list(islice(takewhile(lambda due: due > last, self._backwards(now)), MAX_MISSED))[::-1]

    def is_too_late(self, due: datetime, now: datetime) -> bool:
        """Whether the tick of this time is past its deadline."""
        return self.deadline is not None and now - due > self.deadline

    def makes_up_for(self, due: datetime, now: datetime) -> bool:
        """Whether this tick was missed and runs in any case: an overlap policy is for ticks that come in time."""
        return self.missed == "all" and now - due >= ON_TIME

    def slots(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """Every due time from `begin` to `end`, both included, oldest first."""
        return self.times.between(begin, end)

    def _backwards(self, moment: datetime) -> Iterator[datetime]:
        while True:
            moment = self.latest_before(moment)
            yield moment
            moment -= timedelta(microseconds=2)


def tick(entry: Entry, due: datetime) -> str:
    """The identity of one tick: the entry and its due time, never "now"."""
    return f"{TICK_PREFIX}{entry.name}:{due.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}"


@dataclass(frozen=True)
class Schedule:
    """The table as it was read: the entries that can run, and why each of the others cannot."""

    entries: dict[str, Entry]
    refused: dict[str, ScheduleError]


def read(table: ModuleType | None = None) -> Schedule:
    """The table, with each row judged on its own; raises ScheduleError if there is no table to read."""
    try:
        table = table or config_lines.load(config_lines.SCHEDULE)
        rows, zone = config_lines.rows(table, "schedule"), config_lines.zone(table)
    except config_lines.TableError as error:
        raise ScheduleError(str(error)) from None
    entries: dict[str, Entry] = {}
    refused: dict[str, ScheduleError] = {}
    for name, row in rows.items():
        try:
            entries[name] = _entry(table, name, row, zone)
        except ScheduleError as error:
            refused[str(name)] = error
    return Schedule(entries, refused)


def _entry(table: ModuleType, name: Any, given: Any, zone: ZoneInfo) -> Entry:
    try:
        _check_name(name)
        row = _Row.model_validate(given)
        Cron(row.cron, zone).check(datetime.now(UTC))
        gate = registered()[row.task]
        entry = Entry(name, row.cron, gate, row.kwargs, row.missed, row.overlap, row.deadline, zone)
        _check_call(entry)
    except ValidationError as error:
        problem = error.errors()[0]
        raise _refusal(table, name, f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None
    except CronError as error:
        raise _refusal(table, name, f"cron {row.cron!r}: {error}") from None
    except KeyError:
        known = ", ".join(sorted(registered()))
        raise _refusal(table, name, f"there is no task {row.task!r}; there are: {known}") from None
    except (GatekeeperError, ValueError) as error:
        raise _refusal(table, name, str(error)) from None
    return entry


def _check_name(name: Any) -> None:
    """The name stands in the ids of calls, in names in Redis and in commands."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise ValueError(f"{name!r} cannot name an entry; write a short text such as 'publish'")


def _check_call(entry: Entry) -> None:
    """Make the call of a tick, and throw it away: whatever would fail at each tick fails here, before the first."""
    try:
        bound = entry.gate.contract.bind((), entry.kwargs)
        entry.gate.call_with(bound, id=tick(entry, datetime.now(UTC)), door="beat")
        entry.gate.limits(bound)
    except InvalidArguments as error:
        raise ValueError(f"{error}; correct its kwargs, or the key of {entry.gate.name}") from None


def _refusal(table: ModuleType, name: str, why: str) -> ScheduleError:
    return ScheduleError(f"{config_lines.place(table, [name])}: entry {name!r}: {' '.join(why.split())}")
