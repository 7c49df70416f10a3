"""Nobody runs, or somebody is silent: the commands, the web process and the monitor say so."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import pytest
import redis

from state.processes import liveness
from tests.harness import Install, Process, Valkey, patient, until

QUARTER = 15 * 60 * 1000


@pytest.fixture
def house(install_on: Callable[[Valkey], Install], valkey: Valkey) -> Install:
    return install_on(valkey)


def readyz(house: Install) -> tuple[int, dict[str, Any], str | None]:
    """Status, body and Retry-After."""
    try:
        with build_opener(ProxyHandler({})).open(f"{house.web_url}/readyz", timeout=patient(10)) as answer:
            return answer.status, json.loads(answer.read()), answer.headers["Retry-After"]
    except HTTPError as error:
        with error:
            return error.code, json.loads(error.read()), error.headers["Retry-After"]


def doctor(house: Install) -> tuple[int, dict[str, str]]:
    """The exit code, and by check what is to be changed (empty: nothing)."""
    done = house.celery("gate", "doctor", "--json")
    rows = json.loads(done.stdout)
    return done.returncode, {row["check"]: row["found"] for row in rows if not row["ok"]}


def sign_of(store: redis.Redis, kind: str) -> tuple[str, dict[str, Any]]:
    """The newest sign of a kind."""
    found = {name: json.loads(text) for name, text in store.hgetall(liveness.key()).items()}
    name = max((name for name in found if found[name]["kind"] == kind), key=lambda name: found[name]["seen_ms"])
    return name, found[name]


def freeze(process: Process, store: redis.Redis, kind: str) -> None:
    """Stop a process in the middle of what it does, and let a quarter of an hour pass for its sign."""
    process.pause()
    name, sign = sign_of(store, kind)
    store.hset(name=liveness.key(), key=name, value=json.dumps(sign | {"seen_ms": sign["seen_ms"] - QUARTER}))


@pytest.fixture
def running(house: Install, valkey: Valkey) -> dict[str, Process]:
    found = {"worker": house.worker(concurrency=2), "beat": house.beat(), "web": house.web()}
    until(lambda: readyz(house)[:2] == (200, {"ok": True, "redis": "answers", "silent": [], "overdue": []}), 30)
    return found


def test_where_all_is_well_nobody_is_silent_and_nothing_overdue(house: Install, running: dict[str, Process]) -> None:
    code, wrong = doctor(house)
    status = house.celery("gate", "status").stdout

    assert not {"worker", "beat", "sweeper", "ticks"} & set(wrong), wrong
    assert "1 worker, 1 beat alive" in status
    assert "SILENT" not in status
    assert all(head["silent"] == head["overdue"] == [] for head in house.gate("status"))
    assert code in {0, 1}  # the rest of this machine is not looked at here


def test_a_worker_that_is_stopped_is_told_by_everybody(
    house: Install, valkey: Valkey, running: dict[str, Process]
) -> None:
    freeze(running["worker"], valkey.client(), "worker")

    code, wrong = doctor(house)
    heads, words = house.gate("status"), house.celery("gate", "status").stdout
    status, body, later = readyz(house)

    assert code == 1
    assert "its process is there: it is stopped or stuck" in wrong["worker"]
    assert f"worker {sign_of(valkey.client(), 'worker')[1]['pid']} on " in wrong["worker"]
    assert {one["kind"] for one in heads[0]["silent"]} == {"worker"}
    assert words.startswith("SILENT  worker ")
    assert re.search(r"^publisher +NOT RUNNING ", words, re.MULTILINE)
    assert (status, body["ok"], [one["kind"] for one in body["silent"]]) == (503, False, ["worker"])
    assert later == "5"

    running["worker"].resume()
    until(lambda: readyz(house)[:1] == (200,), 20, "the worker to be back")


@pytest.mark.slow
def test_a_beat_that_is_stopped_is_told_and_work_goes_on(
    house: Install, valkey: Valkey, running: dict[str, Process]
) -> None:
    freeze(running["beat"], valkey.client(), "beat")
    # The last one that it started; a daily entry, so that none is due just now.
    valkey.client().hset("gate:{analyst}:ticks", "analyse", "2026-11-22T06:00:00+00:00")

    code, wrong = doctor(house)
    status, body, _ = readyz(house)
    checked = house.answer(house.call("tasks.monitor.check"), 40)["result"]

    assert code == 1
    assert "it is stopped or stuck" in wrong["beat"]
    assert "analyse was due at " in wrong["ticks"]
    assert (status, body["ok"]) == (200, False), "what comes in is run; a load balancer need not turn away"
    assert ([one["kind"] for one in body["silent"]], body["overdue"]) == (["beat"], ["analyse"])
    assert {"processes", "ticks"} <= set(checked["failing"])
    [analyst] = house.gate("status", "analyst")
    assert [one["entry"] for one in analyst["overdue"]] == ["analyse"]


@pytest.mark.slow
def test_beat_says_that_the_workers_are_silent_and_when_they_are_back(house: Install, valkey: Valkey) -> None:
    code = "import sys; from workers import pulse; pulse.CHECK_EVERY = 1.0; from celery.__main__ import main; main()"
    beat = house.start(
        "beat", [sys.executable, "-c", code, "-A", "workers", "--quiet", "beat", "--loglevel", "warning"]
    )

    told = beat.wait_for("process silent", deadline=40)
    house.worker(concurrency=1)
    beat.wait_for("process no longer silent", deadline=40)

    assert told["silent"] == "worker: none has ever run here"
    assert len(beat.events("process silent")) == 1


@pytest.mark.slow
def test_a_planned_stop_is_no_crash_and_that_none_runs_is_told(
    house: Install, valkey: Valkey, running: dict[str, Process]
) -> None:
    for kind in ("worker", "beat"):
        assert running[kind].terminate() == 0
        until(lambda kind=kind: sign_of(valkey.client(), kind)[1]["stopped"], what="its last sign")  # type: ignore[misc]

    _, wrong = doctor(house)

    assert wrong["worker"].startswith("worker: none runs; the last was stopped at ")
    assert wrong["beat"].startswith("beat: none runs; the last was stopped at ")
    assert readyz(house)[0] == 503
    house.worker(concurrency=1)
    until(lambda: readyz(house)[0] == 200, 20, "the new worker to be seen")


def test_where_nothing_ever_ran_that_is_told(house: Install) -> None:
    code, wrong = doctor(house)

    assert code == 1
    assert wrong["worker"] == "worker: none has ever run here"
    assert wrong["beat"] == "beat: none has ever run here"
    assert "analyse was due at " in wrong["ticks"]


@pytest.mark.slow
def test_a_worker_leaves_a_mark_for_its_supervisor_only_while_it_works(
    house: Install, valkey: Valkey, running: dict[str, Process]
) -> None:
    pid = sign_of(valkey.client(), "worker")[1]["pid"]
    pulse: Path = house.state_dir / "run" / "pulse" / str(pid)
    first = pulse.stat().st_mtime_ns

    until(lambda: pulse.stat().st_mtime_ns > first, 15, "it to be touched again")
    running["worker"].terminate()

    assert not pulse.exists()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_by_the_clock_alone_a_killed_worker_is_missed_and_its_successor_makes_up_for_it(
    house: Install, running: dict[str, Process]
) -> None:
    running["worker"].kill9()
    until(lambda: readyz(house)[0] == 503, 60, "the worker to be missed")
    assert "its process is gone" in doctor(house)[1]["worker"]

    house.worker(concurrency=1)

    until(lambda: readyz(house)[1]["ok"], 60, "the new one to be seen, and the old one to be forgiven")


def test_a_call_in_a_queue_that_no_worker_takes_from_is_told_everywhere(house: Install, valkey: Valkey) -> None:
    store = valkey.client()
    house.worker(concurrency=1)
    house.web()
    code = "from json import dumps\nprint(dumps(app.tasks['counter.add'].apply_async((1, 2), queue='nobodys').id))"
    call = house.json_of(code)
    assert "queue" not in doctor(house)[1]

    store.hincrby(f"gate:{{counter}}:call:{call}", "at_ms", -QUARTER)

    assert "no worker takes messages from the queue 'nobodys', and a call waits there" in doctor(house)[1]["queue"]
    assert "nobodys" in house.celery("gate", "status").stdout
    status, told, _ = readyz(house)
    assert status == 200
    assert not told["ok"]
    assert "queue" in [each["kind"] for each in told["silent"]]
    house.celery("control", "add_consumer", "nobodys")
    house.answer(call)
    until(lambda: "queue" not in doctor(house)[1], 30, "the queue to be served")


def test_a_worker_whose_consumer_was_cancelled_is_told(house: Install, valkey: Valkey) -> None:
    store = valkey.client()
    house.worker(concurrency=1)
    cancel = ("control", "cancel_consumer", "celery")
    until(lambda: "no longer consuming" in house.celery(*cancel).stdout, what="the worker to have cancelled it")
    [call] = house.delay("counter.add", {"a": 1, "b": 2})

    store.hincrby(f"gate:{{counter}}:call:{call}", "at_ms", -QUARTER)

    until(lambda: "the default queue" in doctor(house)[1].get("queue", ""), 30, "the doctor to tell")
