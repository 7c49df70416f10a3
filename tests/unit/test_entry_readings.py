"""What became of each tick of a schedule entry, as the schedule's page and the command tell it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gatekeeper.policies.spec import find
from gatekeeper.schedule.entries import Entry
from state.ledger import schedule_runs
from state.redis import client
from state.redis.keys import Keys
from tasks import analyst
from tests.harness import Valkey
from workers.readings import entries

HOUR = timedelta(hours=1)
NOW = datetime(2026, 11, 22, 12, 0, 30, tzinfo=UTC)


def entry(**row: Any) -> Entry:
    spec = find(f"{analyst.__name__}.collect")
    return Entry(**{"cron": "0 * * * *"} | row, task=spec.name, name="analyse", spec=spec)


def run(hour: int, state: str = "done") -> None:
    """Let the tick of this hour have run."""
    due = NOW.replace(hour=hour, second=0)
    schedule_runs.started("analyst", "analyse", due)
    schedule_runs.remember("analyst", "analyse", due)
    call = Keys("analyst").call(schedule_runs.call_of("analyse", due))
    client.client().hset(call, mapping={"state": state, "at_ms": 1})


def fates(**row: Any) -> list[tuple[int, str]]:
    read = entries.read(entry(**row), NOW)
    return [(tick.due.hour, tick.state or tick.fate) for tick in read.ticks()]


def test_an_entry_that_never_ran_has_no_past_ticks(valkey: Valkey) -> None:
    read = entries.read(entry(), NOW)

    assert (read.last, read.ticks(), read.missed) == (None, [], 0)
    assert [due.hour for due in read.coming()] == [13, 14, 15, 16, 17]


def test_ticks_before_the_first_run_are_left_out(valkey: Valkey) -> None:
    run(10)
    run(11, "queued")

    assert fates()[1:] == [(11, "queued"), (10, "done")]


def test_a_tick_of_this_minute_is_about_to_start_and_not_missed(valkey: Valkey) -> None:
    run(11)

    assert fates()[0] == (12, "about to start")
    assert entries.read(entry(), NOW).missed == 0


def test_missed_ticks_say_which_one_made_up_for_them(valkey: Valkey) -> None:
    run(8)
    run(11)

    made_up = "missed; the tick of 22 Nov 11:00 UTC made up for it"
    assert fates()[1:] == [(11, "done"), (10, made_up), (9, made_up), (8, "done")]
    assert fates(missed="skip")[2] == (10, "missed, and not made up for")


def test_ticks_that_beat_did_not_look_at_yet_are_missed_so_far(valkey: Valkey) -> None:
    run(9)

    assert fates()[1:3] == [(11, "missed so far: beat did not start it"), (10, "missed so far: beat did not start it")]
    assert entries.read(entry(), NOW).missed == 2


def test_a_skipped_tick_says_why(valkey: Valkey) -> None:
    run(9)
    due = NOW.replace(hour=10, second=0)
    schedule_runs.passed_over("analyst", "analyse", due, "the run before it was still at work")
    run(11)

    assert fates()[2] == (10, "skipped: the run before it was still at work")


def test_only_the_newest_reasons_are_kept(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule_runs, "KEPT_REASONS", 2)
    for hours in range(4):
        schedule_runs.passed_over("analyst", "analyse", NOW + hours * HOUR, "late")

    assert sorted(schedule_runs.reasons("analyst", "analyse")) == [NOW + 2 * HOUR, NOW + 3 * HOUR]


@pytest.mark.parametrize(
    ("cron", "words"), [("0 6 * * *", "At 06:00 every day"), ("30 6 * * 1-5", "At 06:30 on Monday through Friday")]
)
def test_a_cron_expression_is_told_in_words(cron: str, words: str) -> None:
    assert entry(cron=cron).times.words == words
