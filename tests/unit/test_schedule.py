"""The schedule: rows that cannot run are named with their line, and each slot is due exactly once."""

from __future__ import annotations

import importlib.util
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from zoneinfo import ZoneInfo

import pytest

import workers  # noqa: F401  loads the agents that the entries name
from gatekeeper.policies.spec import registered
from gatekeeper.schedule.entries import MAX_COUNTED, MAX_MISSED, ON_TIME, Entry, read, tick
from gatekeeper.tables.config_lines import TableError

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

Table = Callable[[str], ModuleType]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """A module as somebody would write it, in a file of its own."""

    def write(text: str) -> ModuleType:
        path = tmp_path / "beat_schedule.py"
        path.write_text(textwrap.dedent(text))
        spec = importlib.util.spec_from_file_location("a_beat_schedule", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return write


def load(table: ModuleType | None = None) -> dict[str, Entry]:
    """Every entry of a table; raises what is wrong with one that cannot run."""
    schedule = read(table)
    for refusal in schedule.refused.values():
        raise refusal
    return schedule.entries


def entry(cron: str, missed: str = "latest", zone: ZoneInfo | None = None) -> Entry:
    gate = registered()["tasks.publisher.publish_next"]
    zone = zone or ZoneInfo("UTC")
    return Entry(name="publish", cron=cron, task=gate.name, spec=gate, missed=missed, zone=zone)  # type: ignore[arg-type]


def minutes(*numbers: int) -> list[datetime]:
    return [NOON + timedelta(minutes=number) for number in numbers]


# The table


def test_the_table_that_ships_can_run() -> None:
    entries = load()

    assert "publish" in entries
    for name, found in entries.items():
        assert found.spec.contract.bind((), found.kwargs) is not None, name


def test_a_row_becomes_an_entry(table: Table) -> None:
    found = load(
        table("""
        timezone = "Europe/Berlin"
        schedule = {
            "hello": {
                "cron": "0 9 * * *",
                "task": "tasks.publisher.publish",
                "kwargs": {"post_id": "hello", "destination": "feed"},
                "missed": "skip",
                "overlap": "queue",
                "deadline": "1h30m",
            },
        }
        """)
    )["hello"]

    assert (found.name, found.missed, found.overlap, found.zone) == ("hello", "skip", "queue", BERLIN)
    assert found.deadline == timedelta(minutes=90)
    assert found.next_after(NOON) == datetime(2026, 11, 23, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (
            '{"cron": "*/30 * * * *", "task": "tasks.publisher.pubish"}',
            "there is no task 'tasks.publisher.pubish'; there are: ",
        ),
        (
            '{"cron": "* * * * *", "task": "tasks.publisher.publish_next", "kwargs": {"x": 1}}',
            "unexpected keyword argument 'x'",
        ),
        ('{"cron": "* * * * *", "task": "tasks.publisher.publish"}', "missing a required argument"),
        (
            '{"cron": "* * * * *", "task": "tasks.publisher.publish", "kwargs": {"post_id": 1, "destination": "feed"}}',
            "post_id: ",
        ),
        (
            '{"cron": "* * * * *", "task": "tasks.publisher.publish", "kwargs": {"post_id": "a", "destination": "x"}}',
            "destination: ",
        ),
        ('{"cron": "*/30 * * *", "task": "tasks.publisher.publish_next"}', "write minute hour day month weekday"),
        ('{"cron": "61 * * * *", "task": "tasks.publisher.publish_next"}', "write minute hour day month weekday"),
        ('{"cron": "@hourly", "task": "tasks.publisher.publish_next"}', "write minute hour day month weekday"),
        ('{"cron": "", "task": "tasks.publisher.publish_next"}', "write minute hour day month weekday"),
        ('{"cron": "0 0 30 2 *", "task": "tasks.publisher.publish_next"}', "0 0 30 2"),
        ('{"task": "tasks.publisher.publish_next"}', "cron: "),
        ('{"cron": "* * * * *"}', "task: "),
        ('{"crn": "* * * * *", "task": "tasks.publisher.publish_next"}', "cron: "),
        ('{"cron": "* * * * *", "task": "tasks.publisher.publish_next", "misssed": "all"}', "misssed: "),
        ('{"cron": "* * * * *", "task": "tasks.publisher.publish_next", "missed": "some"}', "missed: "),
        (
            '{"cron": "* * * * *", "task": "tasks.publisher.publish_next", "deadline": "soon"}',
            "deadline: Value error, 'soon' is not a duration; write for example '30s'",
        ),
        ('{"cron": "* * * * *", "task": "tasks.publisher.publish_next", "deadline": "0s"}', "must be longer than zero"),
        ('{"cron": "* * * * *", "task": "tasks.publisher.publish_next", "deadline": 60}', "60 is not a duration"),
        (
            '{"cron": "* * * * *", "task": "tasks.publisher.publish_next", "deadline": "99999999999999d"}',
            "deadline: Value error, ",
        ),
        ('{"cron": "0 0 */20 * 1L", "task": "tasks.publisher.publish_next"}', "no such time comes within 50 years"),
        ('{"cron": "0 * * * * *", "task": "tasks.publisher.publish_next"}', "6 fields instead of 5"),
        ('{"cron": "0 0 31 2 *", "task": "tasks.publisher.publish_next"}', "write minute hour day month weekday"),
        ('"* * * * *"', "valid dictionary"),
    ],
)
def test_a_row_that_cannot_run_is_named_with_its_line(table: Table, row: str, says: str) -> None:
    broken = table(f"""
        schedule = {{
            "good": {{"cron": "* * * * *", "task": "tasks.publisher.publish_next"}},
            # a comment
            "bad": {row},
        }}
        """)

    with pytest.raises(TableError) as refusal:
        load(broken)

    assert "beat_schedule.py, line 5: entry 'bad': " in str(refusal.value)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_unknown_time_zone_is_refused_with_an_example(table: Table) -> None:
    with pytest.raises(TableError, match="'Europe/Berlinn' is not known; write for example 'Europe/Berlin'"):
        load(table("timezone = 'Europe/Berlinn'\nschedule = {}"))


def test_a_time_zone_may_be_given_as_python_has_it(table: Table) -> None:
    row = '{"cron": "0 9 * * *", "task": "tasks.publisher.publish_next"}'
    found = load(
        table(f"""
        from zoneinfo import ZoneInfo
        timezone = ZoneInfo("Europe/Berlin")
        schedule = {{"a": {row}}}
        """)
    )

    assert found["a"].zone == BERLIN


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "schedule = [{'cron': '* * * * *'}]",
            "beat_schedule.py: schedule is a list; write schedule = {'NAME': {…}, …}",
        ),
        ("schedul = {}", "beat_schedule.py: there is no schedule; write schedule = {'NAME': {…}, …}"),
        ("schedule = {}\ntimezone = 1", "beat_schedule.py: timezone 1 is not known; write for example 'Europe/Berlin'"),
        ("schedule = {}\ntimezone = '../etc/passwd'", "write for example 'Europe/Berlin'"),
        ("schedule = {}\ntimezone = 'Europe'", "write for example 'Europe/Berlin'"),
    ],
)
def test_a_table_that_is_none_is_refused_with_the_right_form(table: Table, text: str, says: str) -> None:
    with pytest.raises(TableError) as refusal:
        load(table(text))

    assert says in str(refusal.value)


@pytest.mark.parametrize("name", ["''", "7", "None", "'a\\n'", "'x' * 101", "'\\ud800'"])
def test_what_cannot_name_an_entry_is_refused(table: Table, name: str) -> None:
    with pytest.raises(TableError, match="cannot name an entry; write a short text such as 'publish'"):
        load(table(f"schedule = {{{name}: {{'cron': '* * * * *', 'task': 'tasks.publisher.publish_next'}}}}"))


def test_a_bad_row_leaves_the_good_ones_and_every_bad_row_is_told(table: Table) -> None:
    found = read(
        table("""
        schedule = {
            "bad": {"cron": "0 0 */20 * 1L", "task": "tasks.publisher.publish_next"},
            "good": {"cron": "* * * * *", "task": "tasks.publisher.publish_next"},
            "worse": {"cron": "0 * * * * *", "task": "tasks.publisher.publish_next"},
        }
        """)
    )

    assert set(found.entries) == {"good"}
    assert set(found.refused) == {"bad", "worse"}
    assert "line 5: entry 'worse': cron '0 * * * * *': 6 fields instead of 5" in str(found.refused["worse"])


# The identity of a tick


def test_a_tick_is_its_entry_and_its_due_time_in_whatever_zone_one_looks() -> None:
    due = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)

    names = {tick(entry("*/30 * * * *"), moment) for moment in (due, due.astimezone(BERLIN))}

    assert names == {"tick:publish:2026-11-22T12:30:00Z"}


# What is due


def test_on_a_first_start_the_latest_tick_runs_at_once_whatever_the_rule() -> None:
    for missed in ("latest", "all", "skip"):
        assert entry("*/30 * * * *", missed).dues(None, NOON + timedelta(minutes=17)) == minutes(0)


def test_nothing_is_due_between_two_ticks() -> None:
    for missed in ("latest", "all", "skip"):
        assert entry("*/30 * * * *", missed).dues(NOON, NOON + timedelta(minutes=29, seconds=59)) == []


def test_a_tick_is_due_at_its_very_second() -> None:
    for missed in ("latest", "all", "skip"):
        assert entry("*/30 * * * *", missed).dues(NOON, NOON + timedelta(minutes=30)) == minutes(30)


def test_latest_runs_the_newest_missed_tick_only() -> None:
    assert entry("*/30 * * * *", "latest").dues(NOON, NOON + timedelta(minutes=100)) == minutes(90)


def test_all_runs_every_missed_tick_the_oldest_first() -> None:
    assert entry("*/30 * * * *", "all").dues(NOON, NOON + timedelta(minutes=100)) == minutes(30, 60, 90)


def test_all_has_a_bound_and_keeps_the_newest() -> None:
    dues = entry("* * * * *", "all").dues(NOON, NOON + timedelta(days=3))

    assert len(dues) == MAX_MISSED
    assert dues[-1] == NOON + timedelta(days=3)
    assert dues == sorted(dues)


@pytest.mark.parametrize(("missed", "number"), [("latest", 2), ("all", 0)])
def test_the_ticks_that_are_not_made_up_for_are_counted(missed: str, number: int) -> None:
    rule = entry("*/30 * * * *", missed)

    assert rule.missed_before(rule.dues(NOON, NOON + timedelta(minutes=100)), NOON) == number
    assert (
        rule.missed_before([], NOON)
        == rule.missed_before(minutes(30), NOON)
        == rule.missed_before(minutes(0), None)
        == 0
    )


def test_the_missed_ticks_of_an_entry_that_was_silent_for_long_are_counted_up_to_a_bound() -> None:
    rule = entry("* * * * *", "latest")

    assert rule.missed_before(rule.dues(NOON, NOON + timedelta(days=30)), NOON) <= MAX_COUNTED


def test_skip_runs_no_missed_tick_but_one_that_beat_was_only_slow_for() -> None:
    rule = entry("*/30 * * * *", "skip")

    assert rule.dues(NOON, NOON + timedelta(minutes=30) + ON_TIME - timedelta(seconds=1)) == minutes(30)
    assert rule.dues(NOON, NOON + timedelta(minutes=30) + ON_TIME) == []
    assert rule.dues(NOON, NOON + timedelta(minutes=60, seconds=1)) == minutes(60)


def test_a_clock_that_was_set_back_starts_nothing_twice() -> None:
    for missed in ("latest", "all", "skip"):
        assert entry("*/30 * * * *", missed).dues(NOON, NOON - timedelta(minutes=90)) == []


def test_a_clock_that_was_days_ahead_does_not_silence_the_schedule_for_days() -> None:
    for missed in ("latest", "all", "skip"):
        assert entry("*/30 * * * *", missed).dues(NOON + timedelta(days=30), NOON) == minutes(0)


def test_a_clock_that_was_far_ahead_does_not_silence_the_schedule() -> None:
    assert entry("*/30 * * * *", "latest").dues(NOON + timedelta(days=400), NOON) == [NOON]


def test_a_tick_is_too_late_after_its_deadline_and_not_at_it() -> None:
    rule = entry("*/30 * * * *").model_copy(update={"deadline": timedelta(hours=2)})

    assert not rule.is_too_late(NOON, NOON + timedelta(hours=2))
    assert rule.is_too_late(NOON, NOON + timedelta(hours=2, seconds=1))
    assert not rule.is_too_late(NOON, NOON - timedelta(days=1))


def test_without_a_deadline_no_tick_is_too_late() -> None:
    assert not entry("*/30 * * * *").is_too_late(NOON, NOON + timedelta(days=365))


# The slots of a range


def test_the_slots_of_a_range_include_both_its_ends() -> None:
    found = entry("*/30 * * * *").slots(NOON, NOON + timedelta(hours=1))

    assert list(found) == minutes(0, 30, 60)


def test_a_range_between_two_slots_has_none() -> None:
    assert list(entry("0 * * * *").slots(NOON + timedelta(minutes=1), NOON + timedelta(minutes=59))) == []


@pytest.mark.parametrize("night", ["spring", "autumn"])
@pytest.mark.parametrize("cron", ["30 2 * * *", "*/30 * * * *", "15 1,2,3 * * *"])
def test_a_range_over_a_night_when_clocks_change_has_the_slots_that_beat_starts(cron: str, night: str) -> None:
    begin = NIGHTS[night]
    found = entry(cron, "all", BERLIN)

    slots = list(found.slots(begin + timedelta(seconds=1), begin + timedelta(hours=24)))

    assert slots == ticks_seen(found, begin, begin + timedelta(hours=24), timedelta(minutes=5))


# Each slot once


def ticks_seen(found: Entry, begin: datetime, end: datetime, step: timedelta) -> list[datetime]:
    """What a beat that looks every `step` starts."""
    last, seen, now = begin, [], begin
    while now < end:
        now += step
        for due in found.dues(last, now):
            seen.append(due)
            last = due
    return seen


#: In Berlin 02:30 is missing on the first of these nights and comes twice in the second.
NIGHTS = {"spring": datetime(2026, 3, 28, 12, tzinfo=UTC), "autumn": datetime(2026, 10, 24, 12, tzinfo=UTC)}


@pytest.mark.parametrize("night", NIGHTS)
@pytest.mark.parametrize(
    "cron", ["30 2 * * *", "*/30 * * * *", "0 * * * *", "15 1,2,3 * * *", "0 9 * * *", "0 3 * * *", "0 2 * * 7"]
)
@pytest.mark.parametrize("missed", ["latest", "all", "skip"])
def test_every_slot_of_a_night_when_clocks_change_is_due_exactly_once(cron: str, night: str, missed: str) -> None:
    begin = NIGHTS[night]
    end = begin + timedelta(hours=24)
    found = entry(cron, missed, BERLIN)

    seen = ticks_seen(found, begin, end, timedelta(seconds=50 if missed == "skip" else 400))

    ahead, moment = [], found.next_after(begin)
    while moment <= end:
        ahead.append(moment)
        moment = found.next_after(moment)
    assert seen == ahead, "looking ahead and looking back disagree"
    assert len(set(seen)) == len(seen)
    assert len({tick(found, due) for due in seen}) == len(seen)


@pytest.mark.parametrize(("night", "slots"), [("spring", 1), ("autumn", 1)])
def test_a_daily_job_runs_once_in_a_night_when_clocks_change(night: str, slots: int) -> None:
    begin = NIGHTS[night]

    seen = ticks_seen(entry("30 2 * * *", "latest", BERLIN), begin, begin + timedelta(hours=24), timedelta(minutes=5))

    assert len(seen) == slots


@pytest.mark.parametrize(("night", "hours"), [("spring", 24), ("autumn", 24)])
def test_an_hourly_job_runs_every_hour_of_such_a_night(night: str, hours: int) -> None:
    begin = NIGHTS[night]

    seen = ticks_seen(entry("0 * * * *", "latest", BERLIN), begin, begin + timedelta(hours=24), timedelta(minutes=5))

    assert seen == [begin + timedelta(hours=number) for number in range(1, hours + 1)]


@pytest.mark.parametrize("night", NIGHTS)
def test_after_an_outage_over_such_a_night_all_makes_up_for_each_slot(night: str) -> None:
    begin = NIGHTS[night]
    found = entry("0 */2 * * *", "all", BERLIN)

    made_up = found.dues(begin, begin + timedelta(hours=24))

    assert made_up == ticks_seen(found, begin, begin + timedelta(hours=24), timedelta(minutes=1))
