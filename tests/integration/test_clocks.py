"""No safety rests on a clock: workers and beats that are hours apart are slower or quicker, and nothing else."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from state.ledger import schedule_runs
from tests.effects.client import EffectServer
from tests.harness import Install, Process, Valkey, until
from tests.harness.install import ROOT

pytestmark = pytest.mark.slow

HOUR = 3600
SHIFTED = ROOT / "tests" / "clocks"

#: As the Debian package libfaketime installs it, or where LIBFAKETIME says.
LIBRARIES = [*Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), Path(os.environ.get("LIBFAKETIME", "/missing"))]

Clock = Callable[[float], Mapping[str, str]]


def by_python(seconds: float) -> dict[str, str]:
    return {"PYTHONPATH": f"{SHIFTED}{os.pathsep}", "CLOCK_SHIFT": str(seconds)}


def by_library(seconds: float) -> dict[str, str]:
    found = [str(path) for path in LIBRARIES if path.is_file()]
    if not found:
        pytest.skip("no libfaketime here: apt-get install libfaketime")
    return {"LD_PRELOAD": found[0], "FAKETIME": f"{seconds:+.0f}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def with_clock(install: Install, environment: Mapping[str, str], start: Callable[[], Process]) -> Process:
    """Start a process that lives in another hour."""
    before = dict(install.env)
    install.env |= environment
    if "PYTHONPATH" in environment:
        install.env["PYTHONPATH"] = environment["PYTHONPATH"] + before["PYTHONPATH"]
    try:
        return start()
    finally:
        install.env.clear()
        install.env.update(before)


def hours_off(process: Process) -> int:
    """By its own log."""
    told = datetime.fromisoformat(process.lines[0]["timestamp"])
    return round((told - datetime.now(UTC)) / timedelta(hours=1))


@pytest.fixture(params=[by_python, by_library], ids=["python", "libfaketime"])
def clock(request: pytest.FixtureRequest) -> Clock:
    found: Clock = request.param
    found(0)
    return found


@pytest.mark.timeout(180)
def test_workers_hours_apart_that_want_the_same_keys_publish_each_once(
    install: Install, effects: EffectServer, clock: Clock
) -> None:
    effects.mode("delay:0.2")
    workers = [with_clock(install, clock(shift), install.worker) for shift in (-2 * HOUR, 0, 2 * HOUR)]
    assert [hours_off(worker) for worker in workers] == [-2, 0, 2]

    calls = install.delay("storyteller.publish", *[{"post_id": str(number % 12)} for number in range(48)])
    install.results(calls, 60)

    keys = [f"story:{number}" for number in range(12)]
    until(lambda: all(install.explain(key)["state"] == "done" for key in keys), 60, "every key to be done")
    assert effects.counts() == dict.fromkeys(keys, 1)
    assert effects.arrived() == len(keys)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_message_that_a_worker_ahead_of_time_delivers_again_is_not_sent_again(
    install: Install, effects: EffectServer, valkey: Valkey, pool: str
) -> None:
    """Its clock says that the visibility timeout is over; the attempt on the other worker goes on."""
    effects.mode("delay_after:120")
    install.worker(pool, 2)
    install.delay("storyteller.publish", {"post_id": "long"})
    effects.wait_in_flight(1)
    until(
        lambda: valkey.client().hlen("unacked") == 1, 10, "no message but this one to be on its way, not even a probe"
    )

    with_clock(install, by_python(2 * HOUR), lambda: install.worker(pool, 2))
    until(lambda: not valkey.client().hlen("unacked"), 60, "the message to be delivered again, and dropped")
    slow = install.call("counter.sleepy", seconds=2)
    assert install.answer(slow)["ok"], "and time for sweeps by both clocks"
    effects.release()

    until(lambda: install.explain("story:long")["state"] == "done", 30, "the attempt to end")
    assert effects.counts() == {"story:long": 1}
    assert effects.arrived() == 1
    told = [event["event"] for event in install.explain("story:long")["story"]]
    assert told.count("claimed") == 1
    assert "unknown" not in told, "its claim was taken away while its worker lived"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("shift", [-2 * HOUR, 2 * HOUR], ids=["behind", "ahead"])
def test_a_worker_in_another_hour_waits_for_its_retries_no_longer_than_others(install: Install, shift: float) -> None:
    with_clock(install, by_python(shift), install.worker)

    [call] = install.delay("counter.fail", {"times": 1})

    until(lambda: len(install.notes("fail")) == 2, 60, "the second attempt")
    until(lambda: install.explain(call)["state"] == "done", 20, "its end")


EVERY_MINUTE = """
schedule = {"each": {"cron": "* * * * *", "task": "counter.add", "kwargs": {"a": 1, "b": 2}, "missed": "all"}}
"""

DRIVER = """
import sys
sys.path.insert(0, sys.argv.pop(1))
import beat_schedule
from celery.__main__ import main
sys.argv[0] = "celery"
main()
"""


@pytest.mark.timeout(120)
def test_beats_hours_apart_start_the_slots_of_this_hour_and_each_once(install: Install, valkey: Valkey) -> None:
    store = valkey.client()
    (install.folder / "beat_schedule.py").write_text(EVERY_MINUTE)
    (install.folder / "driver.py").write_text(DRIVER)
    celery = ["-A", "workers", "--quiet", "beat", "--loglevel", "warning"]
    command = [sys.executable, str(install.folder / "driver.py"), str(install.folder), *celery]
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    schedule_runs.remember("counter", "each", now - timedelta(minutes=10))

    beats = [
        with_clock(install, by_python(shift), lambda: install.start("beat", command))
        for shift in (-2 * HOUR, 0, 2 * HOUR)
    ]
    for process in beats:
        process.wait_for("beat ready", 30)
    until(lambda: (schedule_runs.last("counter", "each") or now) >= now, 20, "every missed tick")
    assert [hours_off(process) for process in beats] == [-2, 0, 2]
    for process in beats:
        process.kill9()

    started = sorted(name.partition("tick:each:")[2] for name in store.scan_iter("gate:{counter}:call:tick:*"))
    first = now - timedelta(minutes=9)
    assert len(started) >= 10
    assert started == [f"{first + timedelta(minutes=number):%Y-%m-%dT%H:%M:%SZ}" for number in range(len(started))]
    assert datetime.fromisoformat(started[-1]) <= datetime.now(UTC)
    assert store.llen("celery") == len(started)
