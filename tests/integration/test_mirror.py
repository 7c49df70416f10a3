"""The mirror: a photograph of Redis, there within a second, whole at every instant, and never ahead."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

import settings
from state.agents import pause, state_file
from state.agents.facts import MAX_ENTRIES
from state.files import lock_file
from state.model import FactChange
from state.redis.keys import Keys
from tests.harness import Install, Process, Valkey, patient, until
from tests.harness.install import ROOT
from tests.harness.shell import Shell
from tests.scripts.poster import AGENT, Poster, a_gate
from workers import sweeper

#: The promise; half of it is the sweeper's pause.
WITHIN = 1.0

#: Changes the state and photographs it, for ever, as fast as it can.
WRITER = """
import itertools, sys
from state.agents import pause as agent
from state.agents import state_file as mirror
print('{"event": "writer ready"}', flush=True)
for number in itertools.count():
    agent.resume("poster")
    agent.pause("poster", f"writer {sys.argv[1]}", "x" * (number % 2000))
    mirror.write("poster")
"""


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """This test's own folder, for the product's code in this process."""
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    settings.current.cache_clear()
    yield tmp_path / "state"
    monkeypatch.undo()
    settings.current.cache_clear()


@pytest.fixture
def writer(valkey: Valkey, state_dir: Path, tmp_path: Path) -> Iterator[Callable[[], Process]]:
    started: list[Process] = []

    def start() -> Process:
        command = [sys.executable, "-c", WRITER, str(len(started))]
        env = {
            "PATH": os.environ["PATH"],
            "STATE_DIR": str(state_dir),
            "REDIS_URL": valkey.url,
            "PYTHONPATH": str(ROOT),
        }
        started.append(Process(f"writer{len(started)}", command, env, ROOT, tmp_path / f"writer{len(started)}.log"))
        return started[-1]

    yield start
    for process in started:
        process.kill9()


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


# Within a second


def test_the_file_follows_redis_within_a_second(house: Install, shell: Shell) -> None:
    house.worker(concurrency=2)
    store = redis.Redis.from_url(house.redis_url, decode_responses=True)

    def follows(number: int) -> None:
        [call] = shell.delay("clerk.remember", {"name": "last", "value": number})
        until(lambda: store.hget(Keys("clerk").call(call), "state") == "done", what="the call to be done")
        until(lambda: house.state("clerk").get("last") == number, what="the fact in the file")

    for number in range(5):
        follows(number)
    store.close()

    assert sweeper.EVERY <= WITHIN / 2, "each sweep writes what changed, so a file is at most two sweeps old"


def test_the_file_has_the_shape_that_its_readers_know(house: Install, shell: Shell) -> None:
    [call] = shell.delay("clerk.complain", {"words": "something broke"})
    house.result(call)

    state = until(lambda: (found := house.state("clerk"))["errors"] and found, what="the error in the file")

    assert list(state)[:3] == ["agent", "revision", "updated_at"]
    assert state["agent"] == "clerk"
    assert isinstance(state["revision"], int)
    assert state["updated_at"].endswith("Z")
    assert state["last_run"].endswith("Z")
    assert state["metrics"]["total_failed"] >= 1
    assert state["paused"] is False
    assert state["held"] == []
    [error, *_] = state["errors"]
    assert {"at", "task", "key", "call", "error"} <= set(error)
    assert "something broke" in error["error"]
    assert error["at"].endswith("Z")


def test_a_pause_is_in_the_file_with_its_own_time(house: Install, shell: Shell) -> None:
    before = shell.run("from state.agents import snapshot as agent\nanswer = agent.snapshot('clerk').head")

    shell.run("from state.agents import pause as agent\nagent.pause('clerk', 'ada', 'looking')")

    state = until(lambda: (found := house.state("clerk"))["paused"] and found, what="the pause in the file")
    assert (state["pause"]["by"], state["pause"]["why"]) == ("ada", "looking")
    assert state["updated_at"] >= state["pause"]["at"] > (before["updated_at"] or "")
    shell.run("from state.agents import pause as agent\nagent.resume('clerk')")
    until(lambda: not house.state("clerk")["paused"], what="the file without the pause")


def test_a_fact_that_is_no_unicode_does_not_stop_the_state(house: Install, shell: Shell) -> None:
    [call] = shell.delay("clerk.remember_a_file", {})

    assert house.answer(call)["ok"]
    until(lambda: house.state("clerk").get("file") == "caf?.md", what="the name in the file")


# Whole at every instant, never ahead


def test_the_file_is_whole_and_never_ahead_while_writers_write_and_are_killed(
    valkey: Valkey, state_dir: Path, writer: Callable[[], Process]
) -> None:
    client, path, n = valkey.client(), state_dir / "agents" / "poster.json", Keys("poster")
    writers = [writer() for _ in range(3)]
    until(path.exists, what="the first photograph")
    chance = random.Random(47)
    seen: list[int] = []
    kills, end = 0, time.monotonic() + patient(20)

    while kills < 8 or len(set(seen)) <= 50:
        assert time.monotonic() < end, f"{kills} kills and {len(set(seen))} revisions in this time"
        found = read(path)
        ahead = found["revision"] - int(client.hget(n.agent_meta, "revision") or 0)
        assert ahead <= 0, f"the file is {ahead} revisions ahead of Redis"
        assert found["agent"] == "poster"
        seen.append(found["revision"])
        if chance.random() < 0.002:
            number = chance.randrange(len(writers))
            writers[number].wait_for("writer ready")
            writers[number].kill9()
            writers[number] = writer()
            kills += 1

    assert seen == sorted(seen), "the file went back in time"


def test_writers_that_were_killed_leave_no_heap_of_unfinished_files(
    valkey: Valkey, state_dir: Path, writer: Callable[[], Process]
) -> None:
    folder = state_dir / "agents"
    folder.mkdir(parents=True)
    for number in range(5):
        (folder / f".poster.json.{number:016x}.tmp").write_text("{")
    pause.pause("poster", "ada", "looking")

    state_file.write("poster")

    assert sorted(path.name for path in folder.iterdir()) == [".lock", "poster.json"]


def test_a_file_that_somebody_removed_comes_back_with_the_next_change(valkey: Valkey, state_dir: Path) -> None:

    pause.pause("poster", "ada", "looking")
    mirrors = state_file.StateFiles(["poster"])
    assert mirrors.refresh() == ["poster"]
    assert mirrors.refresh() == []
    (state_dir / "agents" / "poster.json").unlink()

    pause.resume("poster")

    assert mirrors.refresh() == ["poster"]
    assert read(state_dir / "agents" / "poster.json")["paused"] is False


# While another process holds the lock


def test_a_process_that_stopped_while_it_wrote_a_state_file_stops_no_other(house: Install, shell: Shell) -> None:
    """A signal may stop a process at any instruction, so also while it holds the lock of the files."""
    worker = house.worker(concurrency=2)
    with lock_file(house.state_dir / "agents" / ".lock", wait=patient(0.5)):  # the worker itself holds it for moments
        [first] = shell.delay("clerk.remember", {"name": "locked", "value": 1})
        assert house.answer(first)["ok"]
        failed = worker.wait_for("sweep failed")
        [second] = shell.delay("clerk.remember", {"name": "locked", "value": 2})
        assert house.answer(second)["ok"]
        assert house.state("clerk").get("locked") is None

    assert "another process has held this lock" in failed["error"]
    until(lambda: house.state("clerk").get("locked") == 2, what="the fact in the file, once the lock is free")


def test_a_decision_stands_while_another_process_writes_state_files(
    valkey: Valkey, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_file, "DECISION_PATIENCE", 0.1)
    state_file.write("poster")
    with lock_file(state_dir / "agents" / ".lock", wait=0):
        pause.pause("poster", "ada", "at night")
        state_file.write_after_decision("poster")

    assert read(state_file.path("poster"))["pause"] is None
    state_file.write_after_decision("poster")
    assert read(state_file.path("poster"))["pause"]["why"] == "at night"


# The cost of a write


@pytest.mark.usefixtures("state_dir")
def test_a_photograph_of_a_long_history_is_no_larger_and_no_slower(valkey: Valkey) -> None:
    poster = Poster(valkey.client(), a_gate())

    def live_on(first: int, last: int) -> tuple[int, float]:
        """Publish, fail and be refused; answers the size of the file then, and the milliseconds that a write takes."""
        for number in range(first, last):
            value = json.dumps({"url": f"https://example.org/{number:05}", "id": f"{number:05}"})
            fact = FactChange(("published", f"post{number:05}", "feed"), value, "published")
            poster.settle(poster.claim(f"post{number:05}"), facts=(fact,), counters={"total_done": 1})
            poster.fail(f"fails{number:05}", counters={"total_failed": 1})
        times = []
        for _ in range(9):
            began = time.process_time()
            state_file.write(AGENT)
            times.append(time.process_time() - began)
        return state_file.path(AGENT).stat().st_size, min(times) * 1000

    young_size, young_ms = live_on(0, MAX_ENTRIES)
    old_size, old_ms = live_on(MAX_ENTRIES, 6 * MAX_ENTRIES)

    state = read(state_file.path(AGENT))
    assert state["metrics"]["total_done"] == 6 * MAX_ENTRIES
    assert len(state["published"]) == MAX_ENTRIES
    assert len(state["errors"]) == 20
    assert abs(old_size - young_size) < 100
    assert old_ms < 3 * young_ms + 5


# After a loss


def test_a_file_that_knows_more_than_redis_is_set_aside_before_it_is_written_over(
    valkey: Valkey, state_dir: Path
) -> None:
    client = valkey.client()
    pause.pause("poster", "ada", "an hour before the loss")
    pause.resume("poster")
    pause.pause("poster", "ada", "before the loss")
    state_file.write("poster")
    client.flushall()
    pause.pause("poster", "bob", "after the loss")

    state_file.write("poster")

    kept = read(state_dir / "agents" / "poster.revision-3.json")
    assert kept["pause"]["why"] == "before the loss"
    assert read(state_dir / "agents" / "poster.json")["pause"]["why"] == "after the loss"


def test_an_agent_that_never_ran_has_a_file_too(valkey: Valkey, state_dir: Path) -> None:
    state_file.StateFiles(["idle"]).refresh()

    assert json.loads((state_dir / "agents" / "idle.json").read_text())["last_run"] is None


def test_an_empty_redis_does_not_overwrite_what_a_file_remembers(valkey: Valkey, state_dir: Path) -> None:
    pause.pause("poster", "ada", "looking")
    mirrors = state_file.StateFiles(["poster"])
    mirrors.refresh()
    valkey.client().flushall()

    mirrors.refresh()

    assert json.loads((state_dir / "agents" / "poster.json").read_text())["paused"]
