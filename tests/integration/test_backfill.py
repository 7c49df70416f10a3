"""`gate backfill`: the times at which an entry was due and did not run, each once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from state.redis.keys import Keys
from tests.harness import Install, Valkey, until
from tests.harness.shell import Shell

CLERK = Keys("clerk")

TABLE = """
timezone = "Europe/Berlin"
schedule = {
    "quarter": {"cron": "*/15 * * * *", "task": "clerk.remember", "kwargs": {"name": "ticked", "value": 1}},
    "night": {"cron": "30 2 * * *", "task": "clerk.remember", "kwargs": {"name": "night", "value": 1}},
}
"""


#: Python runs this before anything else: the table of these tests is there before the one that ships.
FIRST = """
import sys
sys.path.insert(0, __file__.rpartition("/")[0])
import beat_schedule
sys.path.pop(0)
"""


@pytest.fixture(scope="module")
def clerks(house: Install) -> Install:
    """The installation, with a schedule of the test's own."""
    tables = house.folder / "tables"
    tables.mkdir()
    (tables / "beat_schedule.py").write_text(TABLE)
    (tables / "sitecustomize.py").write_text(FIRST)
    house.env["PYTHONPATH"] = f"{tables}:{house.env['PYTHONPATH']}"
    return house


@pytest.fixture(scope="module")
def commands(clerks: Install) -> Iterator[Shell]:
    made = Shell(clerks)
    yield made
    made.close()


@cache
def begun() -> datetime:
    """When the first of these tests asked: a quarter that begins meanwhile must not shift what they talk about."""
    return datetime.now(UTC)


def quarter(number: int) -> datetime:
    """A quarter of an hour that is over; 0 is the newest one that was over for a quarter when these tests began."""
    now = begun()
    return now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0) - timedelta(minutes=15 * (number + 1))


def call_of(due: datetime, entry: str = "quarter") -> str:
    return f"tick:{entry}:{due:%Y-%m-%dT%H:%M:%SZ}"


def backfill(commands: Shell, begin: datetime | str, end: datetime | str, *more: str, entry: str = "quarter") -> Any:
    times = [time.isoformat() if isinstance(time, datetime) else time for time in (begin, end)]
    return commands.gate("backfill", entry, "--from", times[0], "--to", times[1], *more)


def state_of(install: Install, due: datetime) -> Any:
    return install.explain(call_of(due))["state"]


def test_a_dry_run_lists_every_slot_and_starts_none(commands: Shell) -> None:
    found = backfill(commands, quarter(3), quarter(1), "--dry-run")

    rows = [
        {"due": quarter(number).isoformat(), "call": call_of(quarter(number)), "before": None, "started": False}
        for number in (3, 2, 1)
    ]
    assert found == rows
    assert backfill(commands, quarter(3), quarter(1), "--dry-run") == rows


def test_each_slot_runs_once_and_one_that_ran_is_shown_and_not_run_again(commands: Shell, clerks: Install) -> None:
    ran = quarter(12)
    commands.gate("run", "quarter", "--due", ran.isoformat())
    clerks.worker(concurrency=2)
    until(lambda: state_of(clerks, ran) == "done", 20, "the run by hand")

    first = backfill(commands, quarter(13), quarter(11))
    until(lambda: {state_of(clerks, quarter(number)) for number in (11, 12, 13)} == {"done"}, 20, "all three runs")
    second = backfill(commands, quarter(13), quarter(11))

    assert [(row["before"], row["started"]) for row in first] == [(None, True), ("done", False), (None, True)]
    assert [(row["before"], row["started"]) for row in second] == [("done", False)] * 3
    attempts = [clerks.explain(call_of(quarter(number)))["attempts"] for number in (11, 12, 13)]
    assert attempts == [1, 1, 1]
    doors = [clerks._redis.hget(CLERK.call(call_of(quarter(number))), "door") for number in (11, 12, 13)]
    assert doors == ["gate backfill", "gate run", "gate backfill"]


def test_a_slot_whose_call_is_long_forgotten_is_not_run_again(
    commands: Shell, clerks: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = quarter(20)
    backfill(commands, due, due)
    store = clerks._redis
    if any(process.alive for process in clerks.processes):  # a worker of the test before: it must not come too late
        until(lambda: store.hget(CLERK.call(call_of(due)), "state") == "done", 30, "the call to end")
    store.delete(CLERK.call(call_of(due)), CLERK.key(call_of(due)), CLERK.history(call_of(due)))

    again = backfill(commands, due, due)
    by_hand = commands.gate("run", "quarter", "--due", due.isoformat())

    assert [(row["before"], row["started"]) for row in again] == [("over", False)]
    assert by_hand["before"] == "over"
    assert not store.exists(CLERK.call(call_of(due)))


def test_times_without_a_zone_are_utc_and_others_are_converted(commands: Shell) -> None:
    day = (datetime.now(UTC) - timedelta(days=2)).strftime("%Y-%m-%d")

    plain = backfill(commands, f"{day}T10:00", f"{day}T10:00", "--dry-run")

    assert plain == backfill(commands, f"{day}T10:00Z", f"{day}T10:00:00Z", "--dry-run")
    assert plain == backfill(commands, f"{day}T12:00+02:00", f"{day}T12:00+02:00", "--dry-run")
    assert [row["due"] for row in plain] == [f"{day}T10:00:00+00:00"]


@pytest.mark.parametrize(
    ("night", "due"),
    [("2026-03-29", "2026-03-29T01:00:00+00:00"), ("2026-10-25", "2026-10-25T00:30:00+00:00")],
    ids=["spring", "autumn"],
)
def test_the_slot_of_a_night_when_clocks_change_is_one(commands: Shell, night: str, due: str) -> None:
    found = backfill(commands, f"{night}T00:00", f"{night}T12:00", "--dry-run", entry="night")

    assert [row["due"] for row in found] == [due]


def test_slots_that_have_not_come_yet_are_left_to_beat(commands: Shell) -> None:
    before = datetime.now(UTC)
    tomorrow = before + timedelta(days=1)

    found = backfill(commands, quarter(1), tomorrow, "--dry-run")

    until_now = [1 + (now - quarter(1)) // timedelta(minutes=15) for now in (before, datetime.now(UTC))]
    assert until_now[0] <= len(found) <= until_now[1]
    assert all(datetime.fromisoformat(row["due"]) <= datetime.now(UTC) for row in found)
    assert backfill(commands, tomorrow, tomorrow + timedelta(days=1), "--dry-run") == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["quartre", "--from", "2026-11-01", "--to", "2026-11-02"],
            "there is no schedule entry 'quartre'; there are: ",
        ),
        (["quarter", "--from", "yesterday", "--to", "2026-11-02"], "'yesterday' is not a time; write for example"),
        (["quarter", "--from", "2026-11-01", "--to", "32nd"], "'32nd' is not a time; write for example"),
        (["quarter", "--from", "0001-01-01", "--to", "2026-11-02"], "the year must be in 2000…3000"),
        (
            ["quarter", "--from", "2026-11-02", "--to", "2026-11-01"],
            "is later than the last one, 2026-11-01T00:00:00+00:00",
        ),
        (["quarter", "--from", "2026-01-01", "--to", "2026-11-02"], "more than 1000 times in that range; choose a"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(commands: Shell, arguments: list[str], says: str) -> None:
    done = commands.celery("gate", "backfill", *arguments, "--json")

    assert done.returncode == 1
    assert says in json.loads(done.stdout)["error"]
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_people_read_what_would_start_what_ran_and_how_many(commands: Shell) -> None:
    ran = quarter(31)
    backfill(commands, ran, ran)
    times = ["--from", quarter(32).isoformat(), "--to", ran.isoformat()]

    dry = commands.celery("gate", "backfill", "quarter", *times, "--dry-run")
    done = commands.celery("gate", "backfill", "quarter", *times)

    assert dry.stdout.splitlines()[0] == f"{quarter(32).isoformat()}  would start"
    assert dry.stdout.splitlines()[1].startswith(f"{ran.isoformat()}  ran before: ")
    assert dry.stdout.splitlines()[2] == "quarter: would start 1 of 2"
    assert done.stdout.splitlines()[2] == "quarter: started 1 of 2"


def test_without_redis_it_says_so_and_starts_nothing(tmp_path: Path, valkey: Valkey) -> None:
    install = Install(tmp_path, "redis://127.0.0.1:1/0", task_modules=())

    done = install.celery(
        "gate", "backfill", "publish", "--from", "2026-11-22T06:00", "--to", "2026-11-22T07:00", "--json"
    )

    install.close()
    assert done.returncode == 1
    assert "Redis does not answer" in json.loads(done.stdout)["error"]
