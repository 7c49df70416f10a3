"""Beat: each tick starts once, however many beats there are and whenever they die."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import redis

from state import ticks
from state.names import Names
from tests.harness import Install, Process, Valkey, until

#: Runs `celery beat` with a table of the test's own instead of the one that ships, and maybe with a fault.
DRIVER = """
import importlib.util, os, sys
spec = importlib.util.spec_from_file_location("beat_schedule", sys.argv.pop(1))
sys.modules["beat_schedule"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
fault = sys.argv.pop(1)
if fault == "dies after the send":
    from state import ticks
    ticks.remember = lambda *_: os.kill(os.getpid(), 9)
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

CLERK = Names("clerk")


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
    ticks.remember(store, "clerk", "each", due)


def last(store: redis.Redis) -> datetime | None:
    return ticks.last(store, "clerk", "each")


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


def test_a_beat_that_is_killed_right_after_the_send_starts_nothing_twice(clerks: Install, valkey: Valkey) -> None:
    store = valkey.client()
    the_last_tick_was(store, minutes_ago(1))
    first = beat(clerks, fault="dies after the send")
    until(lambda: not first.alive, 20, "the first beat to die")
    assert first.returncode == -9
    assert len(calls(store)) == 1

    second = beat(clerks)
    second.wait_for("tick")

    started = calls(store)
    assert messages(store) == len(started), "the tick was sent again"
    assert len(started) <= 2  # a minute may have passed meanwhile


def test_a_tick_that_was_registered_and_not_sent_is_not_lost(clerks: Install, valkey: Valkey) -> None:
    store = valkey.client()
    clerks.python(
        """
        from datetime import UTC, datetime
        from gatekeeper.gate import registered
        from state import store
        from state.ledger import Ledger
        due = datetime.now(UTC).replace(second=0, microsecond=0)
        gate = registered()["clerk.remember"]
        kwargs = {"name": "ticked", "value": 1}
        Ledger(store.client()).register(gate.call((), kwargs, id=f"tick:each:{due:%Y-%m-%dT%H:%M:%SZ}", door="beat"))
        """
    )
    [call] = calls(store)
    assert messages(store) == 0
    store.zadd(CLERK.queued, {call: 1})

    clerks.worker(concurrency=2)

    until(lambda: store.hget(CLERK.call(call), "state") == "done", what="the tick to run")


def test_a_tick_that_comes_while_redis_is_down_waits_and_runs(
    install_on: Callable[[Valkey], Install], fragile_valkey: Valkey
) -> None:
    install = with_clerk(install_on(fragile_valkey))
    fragile_valkey.stop()
    started = beat(install)
    started.wait_for("tick waits", deadline=40)
    assert started.alive

    fragile_valkey.start()

    started.wait_for("tick", deadline=20)
    assert len(calls(fragile_valkey.client())) >= 1


def test_starting_everything_again_publishes_nothing_again(install: Install, valkey: Valkey) -> None:
    store, publisher = valkey.client(), Names("publisher")
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


LATEST = EVERY_MINUTE.replace('"missed": "all"', '"missed": "latest", "overlap": "{overlap}"')


def an_earlier_run_is_not_over(valkey: Valkey) -> redis.Redis:
    store: redis.Redis = valkey.client()
    due = minutes_ago(3)
    the_last_tick_was(store, due)
    store.hset(CLERK.call(f"tick:each:{due.strftime('%Y-%m-%dT%H:%M:%SZ')}"), "state", "claimed")
    return store


def test_a_tick_is_skipped_while_the_run_before_is_not_over(clerks: Install, valkey: Valkey) -> None:
    store = an_earlier_run_is_not_over(valkey)

    beat(clerks, LATEST.replace("{overlap}", "skip"))
    until(lambda: (last(store) or minutes_ago(9)) > minutes_ago(2), what="the tick is noted as past")

    assert messages(store) == 0


def test_a_queued_tick_starts_when_the_run_before_is_over(clerks: Install, valkey: Valkey) -> None:
    store = an_earlier_run_is_not_over(valkey)
    before = last(store)
    process = beat(clerks, LATEST.replace("{overlap}", "queue"))
    process.wait_for("beat ready", deadline=20)
    assert last(store) == before

    store.hset(calls_name(store), "state", "done")

    until(lambda: messages(store) == 1, what="the tick that waited is started")


def calls_name(store: redis.Redis) -> str:
    [name] = store.scan_iter("gate:{clerk}:call:tick:*")
    return str(name)
