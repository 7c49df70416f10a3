"""Late, never ran, paused, failing: what the monitor says of an agent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import settings
import workers  # noqa: F401  loads the agents that the entries name
from gatekeeper.policies.policy import Budget
from gatekeeper.policies.spec import registered
from gatekeeper.schedule import entries
from gatekeeper.schedule.entries import Entry, Schedule
from gatekeeper.tables.config_lines import TableError
from state.agents import pause
from state.agents.snapshot import Snapshot
from state.redis import client
from state.redis.keys import Keys
from tasks.monitor import schedule_checks
from tasks.monitor.checks import Observation
from tests.harness import Valkey

NOW = datetime(2026, 11, 22, 12, 10, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=30)
TASK = registered()["tasks.publisher.publish_next"]
EVERY_HALF_HOUR = Entry(name="publish", cron="*/30 * * * *", task=TASK.name, spec=TASK)
DAILY = Entry(name="report", cron="30 6 * * *", task=TASK.name, spec=TASK, zone=ZoneInfo("Europe/Berlin"))


@pytest.fixture(autouse=True)
def own_redis(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("REDIS_URL", valkey.url)
    settings.current.cache_clear()
    client.client.cache_clear()
    yield
    monkeypatch.undo()
    settings.current.cache_clear()
    client.client.cache_clear()


def state(last_run: datetime | None = None, **head: Any) -> Snapshot:
    told = {"agent": "publisher", "last_run": last_run and last_run.isoformat(), "paused": False, "pause": None}
    return Snapshot(1, {**told, "held": [], **head}, {}, {})


def seen(entry: Entry, last_run: datetime | None, watched: datetime = LONG_AGO) -> Observation:
    return schedule_checks.check_entry(entry, state(last_run), watched, NOW)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-{text}:00+00:00")


@pytest.mark.parametrize(
    ("entry", "last_run", "late"),
    [
        (EVERY_HALF_HOUR, "22T12:00", False),
        (EVERY_HALF_HOUR, "22T11:05", False),  # due at 11:30, late from 12:30 on
        (EVERY_HALF_HOUR, "22T10:45", True),  # due at 11:00, late from 12:00 on
        (DAILY, "22T05:30", False),
        (DAILY, "21T05:30", True),  # due at 5:30 UTC, which is 6:30 in Berlin; late from 7:30 on
    ],
)
def test_an_entry_is_late_two_periods_or_two_hours_after_it_was_due(entry: Entry, last_run: str, late: bool) -> None:
    assert bool(seen(entry, at(last_run)).why) is late


def test_the_grace_is_two_periods_but_not_more_than_two_hours() -> None:
    assert schedule_checks.grace(EVERY_HALF_HOUR) == timedelta(hours=1)
    assert schedule_checks.grace(DAILY) == timedelta(hours=2)
    assert schedule_checks.grace(Entry(name="", cron="* * * * *", task=TASK.name, spec=TASK)) == timedelta(minutes=2)


def test_what_is_late_says_since_when_and_when_it_ran_last() -> None:
    found = seen(EVERY_HALF_HOUR, at("22T09:05"))

    assert found.value == "ran 2026-11-22 09:05 UTC"
    assert found.why.startswith("publisher was due 2 h 40 min ago")
    assert found.limit == "due 2026-11-22 09:30 UTC, 1 h 0 min later it is late"


def test_an_agent_that_never_ran_is_late_once_it_was_watched_for_the_grace() -> None:
    assert not seen(EVERY_HALF_HOUR, None, watched=NOW - timedelta(minutes=50)).why
    assert "never ran" in seen(EVERY_HALF_HOUR, None, watched=NOW - timedelta(minutes=70)).why


def test_what_was_due_while_everything_was_off_is_not_late_at_once() -> None:
    yesterday = at("21T12:00")

    assert not seen(EVERY_HALF_HOUR, yesterday, watched=NOW).why
    assert seen(EVERY_HALF_HOUR, yesterday, watched=NOW - timedelta(hours=3)).why


def test_a_gap_between_two_checks_begins_the_watch_anew() -> None:
    table: Any = SimpleNamespace(
        timezone="UTC",
        schedule={
            "publish": {"cron": "*/30 * * * *", "task": "tasks.publisher.publish_next"},
            "monitor": {"cron": "0 * * * *", "task": "tasks.monitor.check"},
        },
    )
    both = entries.read(table).entries
    before = {"publish": LONG_AGO.isoformat(), "gone": LONG_AGO.isoformat()}

    on_time = schedule_checks.watched_since(both, before, NOW - timedelta(hours=1), NOW)
    after_a_night = schedule_checks.watched_since(both, before, NOW - timedelta(hours=9), NOW)

    assert on_time == {"publish": LONG_AGO.isoformat(), "monitor": NOW.isoformat()}
    assert after_a_night == {"publish": NOW.isoformat(), "monitor": NOW.isoformat()}
    assert schedule_checks.watched_since(both, {}, None, NOW)["publish"] == NOW.isoformat()


def test_every_entry_of_the_schedule_that_ships_has_a_period() -> None:
    import beat_schedule

    shipped = schedule_checks.schedule().entries
    assert set(shipped) == set(beat_schedule.schedule)
    assert all(schedule_checks.period(entry) > timedelta(0) for entry in shipped.values())


def test_a_row_that_cannot_run_is_not_in_order() -> None:
    broken = Schedule({}, {"greet": TableError("beat_schedule.py, line 3: there is no task 'a.b'")})

    (check,) = (check.check() for check in schedule_checks.checks(broken, [], {}, NOW))

    assert (check.name, check.ok) == ("schedule greet", False)
    assert "line 3" in (check.why or "")


# Failing


def settled(*outcomes: str, task: str = EVERY_HALF_HOUR.task) -> None:
    for outcome in outcomes:
        attempt = {"outcome": outcome, "task": task, "key": "k", "ms": 1, "attempt": 1}
        told = {"refusal": json.dumps(attempt | {"stage": "rate"})} if outcome == "refused" else {}
        client.client().xadd(Keys("publisher").events, told or {"attempt": json.dumps(attempt)})


def failing() -> bool:
    now = datetime.now(UTC)
    return bool(schedule_checks.check_entry(EVERY_HALF_HOUR, state(now), now, now).why)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (["done", "failed", "failed", "failed"], True),
        (["failed", "unknown", "failed"], True),
        (["failed", "failed", "refused", "failed"], True),
        (["failed", "failed"], False),
        (["done", "refused", "refused", "refused"], False),
        (["failed", "failed", "failed", "done"], False),
    ],
)
def test_three_failed_attempts_in_a_row_are_not_in_order(outcomes: list[str], expected: bool) -> None:
    settled(*outcomes)

    assert failing() is expected


def test_failures_of_another_task_are_not_counted() -> None:
    settled("failed", "failed", "failed", task="tasks.publisher.publish")

    assert not failing()


# Pauses and held keys


def paused(by: str, age: timedelta) -> dict[str, Any]:
    return {"paused": True, "pause": {"at": (NOW - age).isoformat(), "by": by, "why": "looking"}}


@pytest.mark.parametrize(
    ("by", "age", "told"),
    [("ada", timedelta(hours=2), False), ("ada", timedelta(days=2), True), ("cap", timedelta(minutes=1), True)],
)
def test_a_pause_by_a_cap_or_one_that_was_forgotten_is_not_in_order(by: str, age: timedelta, told: bool) -> None:
    found = schedule_checks.check_agent(state(**paused(by, age)), NOW)

    assert found.value.startswith(f"paused by {by} since ")
    assert bool(found.why) is told


def test_a_paused_agent_is_not_late() -> None:
    found = schedule_checks.check_entry(
        EVERY_HALF_HOUR, state(LONG_AGO, **paused("ada", timedelta(hours=1))), LONG_AGO, NOW
    )

    assert not found.why
    assert found.value.endswith("paused")


@pytest.mark.parametrize(("task", "late"), [(TASK.name, False), ("tasks.publisher.another", True)])
def test_the_cap_of_a_task_excuses_only_the_entries_of_that_task(task: str, late: bool) -> None:
    told = paused("cap", timedelta(hours=1))
    told["pause"]["task"] = task

    found = schedule_checks.check_entry(EVERY_HALF_HOUR, state(LONG_AGO, **told), LONG_AGO, NOW)

    assert bool(found.why) is late


@pytest.mark.parametrize(("task", "late"), [(TASK.name, False), ("tasks.publisher.another", True)])
def test_a_budget_that_is_used_up_excuses_the_entries_of_its_task(
    monkeypatch: pytest.MonkeyPatch, task: str, late: bool
) -> None:
    monkeypatch.setattr(TASK, "budgets", (Budget("9 tokens/day"),))
    redis, n = client.client(), Keys("publisher")
    now = client.now_ms(redis)
    listed = {"task": task, "rule": "9 tokens/day", "key": "k", "limit": 9, "tokens": 9, "since": now}
    redis.hset(n.used_up, n.budget(task, 86_400_000, ""), json.dumps(listed | {"until": now + 3_600_000}))

    assert bool(seen(EVERY_HALF_HOUR, LONG_AGO).why) is late


def test_every_agent_every_entry_and_every_held_key_is_looked_at() -> None:
    redis, now = client.client(), datetime.now(UTC)
    for number in range(12):
        entry = {"key": f"post:{number}", "state": "unknown", "since": 1000 + number, "why": "read timed out"}
        redis.hset(Keys("publisher").held, entry["key"], json.dumps(entry))
    pause.pause("writer", "ada", "looking")

    schedule = schedule_checks.schedule()
    since = schedule_checks.watched_since(schedule.entries, {}, None, now)
    found = schedule_checks.checks(schedule, ["publisher", "writer"], since, now)
    checks = {check.name: check.check() for check in found}

    assert checks["agent publisher"].value == "running"
    assert (checks["agent writer"].value or "").startswith("paused by ada")
    assert "schedule publish" in checks
    assert [name for name in checks if name.startswith("held")] == [f"held post:{number}" for number in range(10)]
    assert checks["held post:0"].why == "waits for a person: read timed out"
    assert not checks["held post:0"].ok
