"""Recovery points in a running task: kept in one attempt, taken up in the next, whatever happened in between."""

from __future__ import annotations

import json
from typing import Any

import pytest

import gatekeeper
from gatekeeper.errors import NoRunningTask
from tests.effects.client import EffectServer
from tests.harness import Install, until


@pytest.fixture
def house(install: Install) -> Install:
    install.env["TASK_MODULES"] = "storyteller,clerk,stepper"
    return install


def ends(house: Install, key: str, state: str, deadline: float = 30) -> dict[str, Any]:
    def stands() -> dict[str, Any] | None:
        told = house.explain(key)
        return told if told["state"] == state else None

    return until(stands, deadline, f"{key} to be {state}")


def records(house: Install, event: str) -> list[dict[str, Any]]:
    lines = [
        line for file in sorted((house.state_dir / "journal").glob("*.jsonl")) for line in file.read_text().splitlines()
    ]
    return [record for line in lines if (record := json.loads(line))["event"] == event]


def test_outside_a_task_there_is_nothing_to_keep() -> None:
    with pytest.raises(NoRunningTask, match="no task is running here"):
        gatekeeper.keep("container", "17")
    with pytest.raises(NoRunningTask, match="no task is running here"):
        gatekeeper.recall("container")


def test_each_attempt_takes_up_what_the_last_one_kept(house: Install) -> None:
    house.worker()

    call = house.call("stepper.climb", name="hill")

    until(lambda: len(house.notes("climbed-hill")) == 3, 20, "the third attempt")
    assert house.notes("climbed-hill") == ["None", "1", "2"]
    told = ends(house, f"stepper.climb:{call}", "done")
    assert told["result"] == ["2", "3", None]
    assert records(house, "point") == [], "what changes nothing outside is in no journal"


def test_what_a_killed_worker_kept_is_taken_up_and_the_first_step_not_done_twice(
    house: Install, effects: EffectServer
) -> None:
    worker = house.worker()
    house.call("stepper.prepare", name="hello")
    until((house.notes_dir / "prepared-hello").exists, 15, "the container to be kept")
    [point] = records(house, "point")
    worker.kill9()

    house.worker()

    told = ends(house, "before:hello", "done")
    assert house.notes("recalled-hello") == ["None", point["value"]]
    assert told["result"] == {"container": point["value"]}
    assert effects.counts() == {"container:hello": 1, "before:hello": 1}


def test_a_point_is_told_in_the_story_and_stands_in_the_journal(house: Install) -> None:
    house.worker()
    house.call("stepper.prepare", name="hello", dies="never")

    told = ends(house, "before:hello", "done")

    [event] = [event for event in told["story"] if event["event"] == "recovery point"]
    [point] = records(house, "point")
    assert (event["name"], event["value"]) == ("container", told["result"]["container"])
    assert (point["key"], point["name"], point["value"]) == ("before:hello", "container", event["value"])
    assert point["fence"] == records(house, "intent")[0]["fence"]


def test_who_slept_past_the_lease_keeps_nothing(house: Install) -> None:
    sleeper = house.worker(concurrency=1)
    house.call("stepper.sleep_in", name="late")
    until(lambda: house.notes("asleep-late"), 15, "the first attempt to sleep")
    sleeper.pause()
    house.worker()
    told = ends(house, "late:late", "done")
    assert told["result"] == {"step": None}

    (house.notes_dir / "wake-late").touch()
    sleeper.resume()

    sleeper.wait_for("claim lost")
    assert house.explain("late:late")["result"] == {"step": None}


def test_a_point_that_cannot_be_written_down_stops_the_attempt_before_its_second_step(
    house: Install, effects: EffectServer
) -> None:
    """The provider made something that nobody will remember; nothing is built on it, and the call waits for the disk."""
    house.worker()
    house.call("stepper.prepare", name="first", dies="never")
    ends(house, "before:first", "done")
    effects.mode("delay:120", key="container:hello")
    house.call("stepper.prepare", name="hello", dies="never")
    effects.wait_in_flight()
    folder = house.state_dir / "journal"
    folder.rename(house.state_dir / "journal-away")
    folder.touch()
    effects.release()

    told = ends(house, "before:hello", "waiting")

    assert "cannot be written" in json.dumps(told["story"])
    assert effects.count("before:hello") == 0
