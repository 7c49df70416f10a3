"""The entries of `beat_schedule.py`: read, validated, and the due times of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import islice, takewhile
from types import ModuleType
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from gatekeeper.errors import GatekeeperError, InvalidArguments
from gatekeeper.policies.durations import duration_ms
from gatekeeper.policies.spec import TICK_PREFIX, TaskSpec, find
from gatekeeper.schedule.cron import Cron, CronError
from gatekeeper.tables import config_lines
from gatekeeper.tables.config_lines import TableError

#: With `missed: "all"`, at most this many missed ticks run: a day of an hourly entry.
MAX_MISSED = 24
#: A tick that is noticed later than this was missed; until then beat was only slow.
ON_TIME = timedelta(seconds=60)
#: A newest tick further ahead than this came from a wrong clock; waiting until its time would stop the entry.
WRONG_CLOCK = timedelta(days=1)

#: Missed ticks that are counted one by one; of an entry that ran every minute, those of a day.
MAX_COUNTED = 1440
#: Characters of an entry's name.
MAX_NAME = 100


def _duration(text: Any) -> timedelta:
    return timedelta(milliseconds=duration_ms(text))


class ScheduleRow(BaseModel):
    """One row of the schedule as a person writes it.

    Attributes:
        cron: The cron expression.
        task: The Celery name of the task.
        kwargs: The task's arguments.
        missed: What happens to ticks that were missed.
        overlap: What happens to a tick whose predecessor still runs.
        deadline: How late a tick may still start; None for any time.

    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    cron: str
    task: str
    kwargs: dict[str, Any] = {}
    missed: Literal["latest", "all", "skip"] = "latest"
    overlap: Literal["skip", "queue"] = "skip"
    deadline: Annotated[timedelta, BeforeValidator(_duration)] | None = None


class Entry(ScheduleRow):
    """One row, with its name, its task's specification and the time zone. All due times are in UTC."""

    name: str
    spec: TaskSpec
    zone: ZoneInfo = ZoneInfo("UTC")

    @property
    def agent(self) -> str:
        return self.spec.agent

    @cached_property
    def times(self) -> Cron:
        return Cron(self.cron, self.zone)

    def next_after(self, moment: datetime) -> datetime:
        """Return the first due time after `moment`."""
        return self.times.next_after(moment)

    def latest_before(self, moment: datetime) -> datetime:
        """Return the newest due time that is not after `moment`."""
        return self.times.latest_before(moment)

    def dues(self, last: datetime | None, now: datetime) -> list[datetime]:
        """Return the due times to run now, oldest first.

        Args:
            last: The newest due time that was started; None on a first start, when only the latest one runs.
            now: The current time.

        """
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

    def missed_before(self, dues: list[datetime], last: datetime | None) -> int:
        """Return how many ticks between the newest that was looked at and the first of `dues` run no more, MAX_COUNTED at most."""
        if last is None or not dues or self.next_after(last) >= dues[0]:
            return 0
        return sum(1 for due in islice(self.slots(last, dues[0]), MAX_COUNTED) if last < due < dues[0])

    def is_too_late(self, due: datetime, now: datetime) -> bool:
        """Return whether the tick of this time is past its deadline."""
        return self.deadline is not None and now - due > self.deadline

    def makes_up_for(self, due: datetime, now: datetime) -> bool:
        """Return whether this tick was missed and runs whatever `overlap` says, which applies to ticks on time only."""
        return self.missed == "all" and now - due >= ON_TIME

    def slots(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """Yield every due time from `begin` to `end`, both included, oldest first."""
        return self.times.between(begin, end)

    def _backwards(self, moment: datetime) -> Iterator[datetime]:
        while True:
            moment = self.latest_before(moment)
            yield moment
            moment -= timedelta(microseconds=2)


def tick(entry: Entry, due: datetime) -> str:
    """Return the id of the call of one tick, made of the entry's name and its due time."""
    return f"{TICK_PREFIX}{entry.name}:{due.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}"


@dataclass(frozen=True)
class Schedule:
    """The rows of the table: `entries` can run, `refused` has the error of each other row."""

    entries: dict[str, Entry]
    refused: dict[str, TableError]


def read(table: ModuleType | None = None) -> Schedule:
    """Read the table and validate each row on its own.

    Args:
        table: The module with the table; `beat_schedule` by default.

    Raises:
        TableError: the file cannot be imported or has no table.

    """
    table = table or config_lines.load(config_lines.SCHEDULE)
    zone = config_lines.zone(table)
    return Schedule(*config_lines.read_rows(table, "schedule", lambda name, row: _entry(table, name, row, zone)))


def _entry(table: ModuleType, name: Any, given: Any, zone: ZoneInfo) -> Entry:
    try:
        _check_name(name)
        row = ScheduleRow.model_validate(given)
        Cron(row.cron, zone).check(datetime.now(UTC))
        entry = Entry(**given, name=name, spec=find(row.task), zone=zone)
        _check_call(entry)
    except ValidationError as error:
        problem = error.errors()[0]
        raise _refusal(table, name, f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None
    except CronError as error:
        raise _refusal(table, name, f"cron {row.cron!r}: {error}") from None
    except (GatekeeperError, ValueError) as error:
        raise _refusal(table, name, str(error)) from None
    return entry


def _check_name(name: Any) -> None:
    """Check the name, which becomes part of call ids, Redis keys and commands."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise ValueError(f"{name!r} cannot name an entry; write a short text such as 'publish'")


def _check_call(entry: Entry) -> None:
    """Build the call of a tick and discard it, so that an error of every tick is found before the first one."""
    try:
        bound = entry.spec.contract.bind((), entry.kwargs)
        entry.spec.call_with(bound, id=tick(entry, datetime.now(UTC)), origin="beat")
        entry.spec.limits(bound)
    except InvalidArguments as error:
        raise ValueError(f"{error}; correct its kwargs, or the key of {entry.spec.name}") from None


def _refusal(table: ModuleType, name: str, why: str) -> TableError:
    return config_lines.refusal(table, [name], f"entry {name!r}", why)
