"""When a tick counts as overdue."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gatekeeper.schedule.entries import Entry
from state.ledger import schedule_runs
from state.processes.liveness import Liveness
from tasks.monitor import overdue
from tests.unit.test_schedule_checks import TASK

NOBODY = Liveness(0, [], [])


def at(time: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-22T{time}").replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "newest", "now", "is_overdue"),
    [
        ("*/30 * * * *", "11:30:00", "11:59:59", False),
        ("*/30 * * * *", "11:30:00", "12:00:59", False),
        ("*/30 * * * *", "11:30:00", "12:01:30", True),
        ("* * * * *", "11:30:00", "11:31:40", False),
        ("* * * * *", "11:30:00", "11:32:30", True),
        ("* * * * *", "11:30:00", "12:00:00", True),
    ],
)
def test_a_tick_is_overdue_a_minute_after_the_first_that_was_missed(
    monkeypatch: pytest.MonkeyPatch, cron: str, newest: str, now: str, is_overdue: bool
) -> None:
    monkeypatch.setattr(schedule_runs, "newest", lambda *_: schedule_runs.Newest(at(newest), "done", 0))

    found = overdue._overdue(Entry(name="publish", cron=cron, task=TASK.name, spec=TASK), NOBODY, at(now))

    assert (found is not None) == is_overdue
