"""Beat: each tick starts once, however many beats there are and whenever they die."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import redis

from state.agents import measures
from state.ledger import schedule_runs
from state.redis.keys import Keys
from tests.harness import Install, Process, Valkey, until

#: Runs `celery beat` with a table of the test's own instead of the one that ships, and maybe with a fault.
DRIVER = """
import importlib.util, os, sys
spec = importlib.util.spec_from_file_location("beat_schedule", sys.argv.pop(1))
sys.modules["beat_schedule"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
fault = sys.argv.pop(1)
if fault.startswith("night "):
    import time
    from datetime import UTC, datetime, timedelta
    from state.ledger import schedule_runs
    import workers.scheduler
    workers.scheduler.MAX_SLEEP = 0.02
    begin, began = datetime.fromisoformat(fault.split()[1]).astimezone(UTC), time.monotonic()
    schedule_runs.now = lambda: begin + timedelta(minutes=10) * (time.monotonic() - began)  # ten minutes a second
elif fault.startswith("dies in "):
    from state.ledger import schedule_runs as ticks
    setattr(ticks, fault.removeprefix("dies in "), lambda *_: os.kill(os.getpid(), 9))
from celery.__main__ import main
sys.argv[0] = "celery"
main()
"""

EVERY_MINUTE = """
timezone = "UTC"
schedule = {
    "each": {"cron": "* * * * *", "task": "clerk.remember", "kwargs": {"name": "ticked", "value": 1}, "missed": "all"},
}
"""

CLERK = Keys("clerk")


@pytest.fixture
def clerks(install_on: Callable[[Valkey], Install], valkey: Valkey) -> Install:
    return with_clerk(install_on(valkey))


def with_clerk(install: Install) -> Install:
    install.env["TASK_MODULES"] = "clerk,storyteller,counter"
    return install


def beat(install: Install, table: str = EVERY_MINUTE, fault: str = "none") -> Process:
    folder = install.folder / f"table{len(install.processes)}"
    folder.mkdir()
    path = folder / "beat_schedule.py"
    path.write_text(textwrap.dedent(table))
    celery = ["-A", "workers", "--quiet", "beat", "--loglevel", "warning"]
    return install.start("beat", [sys.executable, "-c", DRIVER, str(path), fault, *celery])


def calls(store: redis.Redis) -> list[str]:
    """The ids of every call that was registered for a tick."""
    return sorted(name.partition(":call:")[2] for name in store.scan_iter("gate:{clerk}:call:tick:*"))


def messages(store: redis.Redis) -> int:
    return int(store.llen("celery"))


def minutes_ago(number: int) -> datetime:
    return datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=number)


def the_last_tick_was(store: redis.Redis, due: datetime) -> None:
    schedule_runs.remember("clerk", "each", due)


def last(store: redis.Redis) -> datetime | None:
    return schedule_runs.last("clerk", "each")


def test_two_beats_at_once_start_each_tick_once(clerks: Install, valkey: Valkey) -> None:
    store = valkey.client()
    beats = [beat(clerks), beat(clerks)]

    def both_started_all() -> bool:
        """Ten minutes are missed again and again, so that both beats have all of them to start."""
        the_last_tick_was(store, minutes_ago(10))
        return all(len(each.events("tick")) >= 10 for each in beats)

    until(both_started_all, 30, "both beats to be at work")
    until(lambda: (last(store) or minutes_ago(5)) >= minutes_ago(0), what="every missed tick")
    for each in beats:
        each.kill9()

    started = calls(store)
    assert len(started) >= 10
    assert len(started) == len(set(started))
    assert messages(store) == len(started)
    assert started == [f"tick:each:{due:%Y-%m-%dT%H:%M:%SZ}" for due in consecutive(started)]


def consecutive(started: list[str]) -> list[datetime]:
    """As many minutes in a row as there were ticks, from the first."""
    first = datetime.fromisoformat(started[0].removeprefix("tick:each:"))
    return [first + timedelta(minutes=number) for number in range(len(started))]


@pytest.mark.parametrize("place", ["started", "remember"])
def test_a_beat_that_is_killed_right_after_the_send_starts_nothing_twice(
    clerks: Install, valkey: Valkey, place: str
) -> None:
    store = valkey.client()
    the_last_tick_was(store, minutes_ago(1))
    first = beat(clerks, fault=f"dies in {place}")
    until(lambda: not first.alive, 20, "the first beat to die")
    assert first.returncode == -9
    assert len(calls(store)) == 1

    second = beat(clerks)
    second.wait_for("tick")

    until(lambda: messages(store) == len(calls(store)), what="one message per tick")
    assert len(calls(store)) <= 2  # a minute may have passed meanwhile


def test_a_tick_that_was_registered_and_not_sent_is_not_lost(clerks: Install, valkey: Valkey) -> None:
    store = valkey.client()
    clerks.python(
        """
        from datetime import UTC, datetime
        from gatekeeper.policies.spec import registered
        from state.redis import client as store
        from state.ledger import Ledger
        due = datetime.now(UTC).replace(second=0, microsecond=0)
        gate = registered()["clerk.remember"]
        kwargs = {"name": "ticked", "value": 1}
        Ledger().register(gate.call((), kwargs, id=f"tick:each:{due:%Y-%m-%dT%H:%M:%SZ}", origin="beat"))
        """
    )
    [call] = calls(store)
    assert messages(store) == 0
    store.zadd(CLERK.queued, {call: 1})

    clerks.worker(concurrency=2)

    until(lambda: store.hget(CLERK.call(call), "state") == "done", what="the tick to run")


def test_a_row_that_was_changed_after_its_tick_had_begun_leaves_that_tick_as_it_was(
    clerks: Install, valkey: Valkey
) -> None:
    store = valkey.client()
    the_last_tick_was(store, minutes_ago(1))
    first = beat(clerks, fault="dies in remember")
    until(lambda: not first.alive, 20, "the first beat to die")
    [begun] = calls(store)[:1]
    before = store.hget(CLERK.call(begun), "kwargs")

    second = beat(clerks, table=EVERY_MINUTE.replace('"value": 1', '"value": 2'))

    told = second.wait_for("tick ran as it was before")
    assert (told["entry"], told["call"]) == ("each", begun)
    assert "value: 2 instead of 1" in told["why"]
    until(lambda: (last(store) or minutes_ago(5)) >= minutes_ago(0), what="the tick to be over for beat")
    assert second.alive
    assert store.hget(CLERK.call(begun), "kwargs") == before


@pytest.mark.timeout(120)
def test_a_tick_that_comes_while_redis_is_down_waits_and_runs_once(
    install_on: Callable[[Valkey], Install], fragile_valkey: Valkey
) -> None:
    install = with_clerk(install_on(fragile_valkey))
    the_last_tick_was(fragile_valkey.client(), minutes_ago(2))
    missed = f"tick:each:{minutes_ago(1):%Y-%m-%dT%H:%M:%SZ}"
    install.worker(concurrency=2)
    fragile_valkey.stop()
    started = beat(install)
    started.wait_for("tick waits", deadline=40)
    assert started.alive

    fragile_valkey.start()

    store = fragile_valkey.client()
    until(lambda: store.hget(CLERK.call(missed), "state") == "done", 30, "the tick of the outage to run")
    assert store.hget(CLERK.key(missed), "attempts") == "1"
    assert all(process.alive for process in install.processes)


def test_starting_everything_again_publishes_nothing_again(install: Install, valkey: Valkey) -> None:
    store, publisher = valkey.client(), Keys("publisher")
    for name in ("one", "two"):
        text = f"---\nid: {name}\ntitle: {name}\npublish_at: 2026-01-01T00:00:00Z\n---\nSome words.\n"
        (install.content_dir / f"{name}.md").write_text(text)
    install.worker()
    install.beat()
    keys = [publisher.key(f"publish:feed:{name}") for name in ("one", "two")]
    until(lambda: [store.hget(key, "state") for key in keys] == ["done", "done"], 20, "the first start's posts")
    feed = (install.public_dir / "feed.xml").read_text()

    for process in list(install.processes):
        process.kill9()
    install.worker()
    second = install.beat()

    call = store.keys(publisher.call("tick:publish:*"))
    assert len(call) in {1, 2}  # half an hour may have turned meanwhile
    until(lambda: second.alive and install.state("publisher")["metrics"].get("total_published") == 2, what="the mirror")
    assert [store.hget(key, "attempts") for key in keys] == ["1", "1"]
    assert (install.public_dir / "feed.xml").read_text() == feed
    assert sorted(install.state("publisher")["published"]) == ["one", "two"]


def test_a_schedule_that_cannot_run_is_refused_at_the_start_with_the_line(clerks: Install) -> None:
    rows = {
        "there is no task 'clerk.rember'": '{"cron": "* * * * *", "task": "clerk.rember"}',
        "missing a required argument: 'name'": '{"cron": "* * * * *", "task": "clerk.remember", "kwargs": {"nam": "x"}}',
        "write minute hour day month weekday": '{"cron": "* * * *", "task": "clerk.remember"}',
    }

    started = {
        says: beat(clerks, f"schedule = {{\n    # a comment\n    'bad': {row},\n}}\n") for says, row in rows.items()
    }

    for says, refused in started.items():
        assert refused.wait(20) != 0
        assert "beat_schedule.py, line 3: entry 'bad': " in refused.output
        assert says in refused.output
        assert "Traceback" not in refused.output


GOOD = '"good": {"cron": "* * * * *", "task": "clerk.remember", "kwargs": {"name": "ticked", "value": 1}},'


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('{"cron": "0 0 */20 * 1L", "task": "tasks.publisher.publish_next"}', "no such time comes within 50 years"),
        ('{"cron": "0 * * * * *", "task": "tasks.publisher.publish_next"}', "6 fields instead of 5"),
        ('{"cron": "* * * * *", "task": "clerk.dig", "kwargs": {"topics": ["a"]}}', "topics is a list"),
        ('{"cron": "* * * * *", "task": "tasks.publisher.publish_next", "deadline": "99999999999999d"}', "deadline: "),
    ],
    ids=["never", "seconds", "key", "overflow"],
)
def test_a_row_that_cannot_run_is_told_and_the_others_run(clerks: Install, valkey: Valkey, row: str, says: str) -> None:
    started = beat(clerks, f"schedule = {{\n    'bad': {row},\n    {GOOD}\n}}\n")

    refusal = started.wait_for("schedule row refused", deadline=30)
    started.wait_for("tick")

    assert says in refusal["error"]
    assert "beat_schedule.py, line 2: entry 'bad': " in refusal["error"]
    assert {call.split(":")[1] for call in calls(valkey.client())} == {"good"}


@pytest.mark.timeout(120)
def test_what_fails_at_run_time_stops_its_own_row_is_told_once_and_tried_again(clerks: Install, valkey: Valkey) -> None:
    store, begin = valkey.client(), datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(days=1)
    table = f"schedule = {{\n    {GOOD.replace('good', 'bad')}\n    {GOOD}\n}}\n"
    store.set(CLERK.started("bad"), "not a sorted set")

    started = beat(clerks, table, fault=f"night {begin.isoformat()}")

    def ran(number: int, entry: str) -> bool:
        """Whether so many ticks of an entry were started, or skipped because nothing runs them."""
        lines = [*started.events("tick"), *started.events("tick skipped")]
        return len([line for line in lines if line["entry"] == entry]) >= number

    until(lambda: ran(20, "good"), 60, "the good row to run")
    seen = {line["entry"] for line in started.events("tick")}
    told = schedule_runs.failure("clerk", "bad")
    store.delete(CLERK.started("bad"))
    until(lambda: ran(1, "bad"), 60, "the bad row to run again")

    assert seen == {"good"}
    assert len(started.events("schedule row failed")) == 1
    assert told is not None
    assert "WRONGTYPE" in told["why"]
    until(lambda: schedule_runs.failure("clerk", "bad") is None, what="the failure is forgotten")
    assert started.alive


def test_a_beat_that_is_killed_while_it_makes_up_for_ticks_loses_none(clerks: Install, valkey: Valkey) -> None:
    store = valkey.client()
    the_last_tick_was(store, minutes_ago(6))
    beat(clerks, fault="dies in remember").wait(20)
    assert len(calls(store)) == 1

    beat(clerks)
    until(lambda: (last(store) or minutes_ago(9)) >= minutes_ago(0), 20, "every missed tick")

    started = calls(store)
    assert len(started) >= 6
    assert messages(store) == len(started)
    assert started == [f"tick:each:{due:%Y-%m-%dT%H:%M:%SZ}" for due in consecutive(started)]


NIGHT = """
timezone = "Europe/Berlin"
schedule = {
    "each": {
        "cron": "15,45 * * * *", "task": "clerk.remember", "kwargs": {"name": "ticked", "value": 1},
        "missed": "all", "overlap": "queue",  # a slot is three seconds: a slow start, or a slow run, must not cost one
    },
    "once": {"cron": "30 2 * * *", "task": "clerk.remember", "kwargs": {"name": "once", "value": 1}},
}
"""


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("night", "once"),
    [("2026-03-29T00:00:00+00:00", "01:00"), ("2026-10-25T00:00:00+00:00", "00:30")],
    ids=["spring", "autumn"],
)
def test_two_beats_in_a_night_when_clocks_change_start_each_slot_once(
    clerks: Install, valkey: Valkey, night: str, once: str
) -> None:
    store, begin = valkey.client(), datetime.fromisoformat(night)
    for entry in ("each", "once"):
        schedule_runs.remember("clerk", entry, begin)
    clerks.worker(concurrency=2)

    for _ in range(2):
        beat(clerks, NIGHT, fault=f"night {night}")
    until(lambda: (last(store) or begin) >= begin + timedelta(hours=4), 60, "the night to pass")
    for process in clerks.processes[1:]:
        process.kill9()

    started = [call for call in calls(store) if call < f"tick:each:{begin + timedelta(hours=4):%Y-%m-%dT%H:%M:%SZ}"]
    quarters = [begin + timedelta(minutes=15 + 30 * number) for number in range(8)]
    assert started == [f"tick:each:{due:%Y-%m-%dT%H:%M:%SZ}" for due in quarters]
    assert [call for call in calls(store) if "once" in call] == [f"tick:once:{begin:%Y-%m-%d}T{once}:00Z"]
    until(lambda: {store.hget(CLERK.call(call), "state") for call in calls(store)} == {"done"}, 20, "every run's end")
    assert {store.hget(CLERK.key(call), "attempts") for call in calls(store)} == {"1"}


# Overlap and deadline


def every_minute(**options: str) -> str:
    extra = ", ".join(f'"{name}": "{value}"' for name, value in options.items())
    return EVERY_MINUTE.replace('"missed": "all"', extra)


def a_run_that_is_not_over(store: redis.Redis, due: datetime) -> str:
    """A worker runs the tick of this time; answers the name of its call."""
    name = CLERK.call(f"tick:each:{due:%Y-%m-%dT%H:%M:%SZ}")
    schedule_runs.started("clerk", "each", due)
    store.hset(name, "state", "claimed")
    return name


def test_a_tick_is_skipped_while_the_run_before_is_not_over(clerks: Install, valkey: Valkey) -> None:
    store = valkey.client()
    a_run_that_is_not_over(store, minutes_ago(3))
    the_last_tick_was(store, minutes_ago(3))

    beat(clerks, every_minute(missed="latest", overlap="skip")).wait_for("tick skipped")

    assert messages(store) == 0
    counted = measures.read(store.hgetall(CLERK.measures)).ticks
    assert counted["each", "skipped"] in {1, 2}  # a new minute may begin before this looks
    assert 1 <= counted["each", "missed"] <= 3  # a new minute may begin before beat looks


def test_a_run_that_is_not_over_after_a_skipped_tick_holds_up_the_next_one_too(clerks: Install, valkey: Valkey) -> None:
    store = valkey.client()
    a_run_that_is_not_over(store, minutes_ago(9))
    a_later_run = minutes_ago(8)
    schedule_runs.started("clerk", "each", a_later_run)
    store.hset(CLERK.call(f"tick:each:{a_later_run:%Y-%m-%dT%H:%M:%SZ}"), "state", "done")
    the_last_tick_was(store, minutes_ago(3))  # passed over, because the run was not over

    beat(clerks, every_minute(missed="latest", overlap="skip")).wait_for("tick skipped")

    assert messages(store) == 0


def test_a_queued_tick_starts_when_the_run_before_is_over(clerks: Install, valkey: Valkey) -> None:
    store = valkey.client()
    run = a_run_that_is_not_over(store, minutes_ago(3))
    the_last_tick_was(store, minutes_ago(3))
    before = last(store)
    process = beat(clerks, every_minute(missed="latest", overlap="queue"))
    process.wait_for("beat ready", deadline=20)
    assert last(store) == before

    store.hset(run, "state", "done")

    until(lambda: messages(store) == 1, what="the tick that waited is started")


def test_ticks_that_are_made_up_for_run_one_after_the_other_where_they_queue(clerks: Install, valkey: Valkey) -> None:
    store = valkey.client()
    the_last_tick_was(store, minutes_ago(6))
    beat(clerks, every_minute(missed="all", overlap="queue"))

    for number in range(1, 5):
        until(lambda number=number: messages(store) == number, what=f"tick {number} to start")  # type: ignore[misc]
        known = until(
            lambda number=number: (
                (found := schedule_runs.newest_started("clerk", "each", 10)) and len(found) == number and found
            ),  # type: ignore[misc]
            what=f"tick {number} to be known as started",
        )
        newest = known[0]
        assert len(calls(store)) == number, "two ticks at once"
        store.hset(CLERK.call(f"tick:each:{newest:%Y-%m-%dT%H:%M:%SZ}"), "state", "done")


def test_a_tick_past_its_deadline_is_told_and_not_run(clerks: Install, valkey: Valkey) -> None:
    store = valkey.client()
    the_last_tick_was(store, minutes_ago(10))

    process = beat(clerks, every_minute(missed="all", deadline="4m30s"))
    until(lambda: len(process.events("tick")) >= 4, what="the ticks that may still run")

    told = [datetime.fromisoformat(line["due"]) for line in process.events("tick too late")]
    assert len(told) >= 5
    assert told == [told[0] + timedelta(minutes=number) for number in range(len(told))]
    assert told[0] == datetime.fromisoformat(process.events("tick")[0]["due"]) - timedelta(minutes=len(told))
    assert not {f"tick:each:{due:%Y-%m-%dT%H:%M:%SZ}" for due in told} & set(calls(store))


def test_a_first_start_after_the_deadline_waits_for_the_next_tick(clerks: Install, valkey: Valkey) -> None:
    store = valkey.client()
    hours_ago = (datetime.now(UTC) - timedelta(hours=3)).hour
    table = every_minute(missed="latest", deadline="2h").replace("* * * * *", f"0 {hours_ago} * * *")

    process = beat(clerks, table)

    assert process.wait_for("tick too late")["entry"] == "each"
    assert messages(store) == 0
    assert last(store) is not None


def test_an_entry_that_is_not_due_is_looked_at_again_when_redis_does_not_know_its_tick_any_more(
    clerks: Install, valkey: Valkey
) -> None:
    store = valkey.client()
    process = beat(clerks, every_minute(missed="latest", deadline="1h").replace("* * * * *", "0 0 1 1 *"))
    process.wait_for("tick too late")
    until(lambda: last(store) is not None)

    store.delete(CLERK.ticks)

    until(lambda: last(store) is not None, 15)  # not only next year
    until(lambda: len(process.events("tick too late")) == 2, what="the log to say so a second time")
