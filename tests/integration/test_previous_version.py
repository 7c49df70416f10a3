"""Data of the version before the rooms were named: its journal and its Redis, taken over as they are.

`tests/data/previous_version/make.py` made them with that version's code, and noted what that version said of every key.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from state import redis_format
from state.journal.projector import project
from tests.conftest import MADE, a_valkey
from tests.effects.client import EffectServer
from tests.harness import Install, until
from tests.harness.shell import Shell

pytestmark = pytest.mark.slow

DATA = Path(__file__).parents[1] / "data" / "previous_version"
EXPECTED: dict[str, Any] = json.loads((DATA / "expected.json").read_text())
KEYS: dict[str, dict[str, Any]] = EXPECTED["keys"]
AGENTS = ("storyteller", "doubter", "mailer", "patient", "counter", "clerk")
#: Keys of effects; the journal knows no others.
EFFECTS = {key for key in KEYS if not key.startswith("counter.")}
#: What waits, and is sent once by the new version.
OPEN = {"story:queued", "mail:eve", "patient:later"}


@dataclass
class Old:
    """An installation that the earlier version left."""

    install: Install
    effects: EffectServer
    store: redis.Redis
    shell: Shell

    def states(self) -> dict[str, str]:
        """What `gate explain` says of every key; what nobody asked for is left out."""
        told = {key: self.shell.celery("gate", "explain", key, "--json") for key in KEYS}
        return {key: json.loads(done.stdout)["state"] for key, done in told.items() if done.returncode == 0}

    def run(self) -> None:
        """Resume who was paused, let workers run, and wait until every call that was open is done."""
        self.shell.gate("resume", "mailer")  # first: its call is due by now, and a pause would refuse it
        self.install.worker()
        until(self.open_ones_are_done, 60, "the calls that waited to be done")

    def open_ones_are_done(self) -> bool:
        for agent in AGENTS:
            for call in self.store.zrange(f"gate:{{{agent}}}:waiting", 0, -1):
                self.store.zadd(f"gate:{{{agent}}}:waiting", {call: 1}, xx=True)
        return all(self.states().get(key) == "done" for key in OPEN)


def fill(store: redis.Redis) -> None:
    for line in (DATA / "redis.jsonl").read_text().splitlines():
        store.execute_command(*json.loads(line))


@pytest.fixture
def old(request: pytest.FixtureRequest, tmp_path: Path, effects: EffectServer) -> Iterator[Old]:
    """The journal and the Redis of that version, and nothing that runs."""
    server = a_valkey()
    install = Install(tmp_path, server.url, task_modules=AGENTS, env={"EFFECTS_URL": effects.base_url})
    request.node.stash[MADE] = [install]
    shutil.copytree(DATA / "journal", install.state_dir / "journal")
    fill(server.client())
    (install.notes_dir / "harmless").touch()  # the poison of that time is mended
    shell = Shell(install)
    yield Old(install, effects, server.client(), shell)
    shell.close()
    install.close()
    server.close()


def sent_once(old: Old) -> None:
    """Only what waited was sent, and each of it once; what was done, held or in doubt was not touched."""
    assert old.effects.counts() == dict.fromkeys(OPEN, 1)
    expected = {key: "done" if key in OPEN else KEYS[key]["state"] for key in EFFECTS}
    assert {key: state for key, state in old.states().items() if key in EFFECTS} == expected


def test_the_new_version_says_of_every_key_what_the_old_one_said(old: Old) -> None:
    told = {key: old.shell.gate("explain", key) for key in KEYS}

    for key, said in KEYS.items():
        assert {**told[key], "events": len(told[key]["story"])}.items() >= said.items(), key
    held = old.shell.gate("held")
    fields = EXPECTED["held"][0].keys()
    assert [{name: entry[name] for name in fields} for entry in held] == EXPECTED["held"]
    metrics = {agent["agent"]: agent["metrics"] for agent in old.shell.gate("status")}
    assert {agent: metrics[agent] for agent in EXPECTED["status"]} == EXPECTED["status"]


def test_what_waited_is_sent_once_and_nothing_else_is_sent(old: Old) -> None:
    old.run()

    sent_once(old)
    assert old.store.get(redis_format.key()) == "1"
    until(lambda: old.install.notes("after-queued") and old.install.notes("after-eve"), 20, "the followers to run")


def test_what_was_done_is_answered_and_not_sent_again(old: Old) -> None:
    old.install.worker()
    [again, doubt] = old.shell.delay("storyteller.publish", {"post_id": "first"}, {"post_id": "doubt"})

    assert old.install.answer(again)["replayed"] is True
    assert old.install.answer(again)["result"] == KEYS["story:first"]["result"]
    assert old.install.answer(doubt)["error"] == "outcome unknown"
    assert old.effects.count("story:first") == old.effects.count("story:doubt") == 0


def test_a_person_ends_what_the_old_version_left_in_doubt(old: Old) -> None:
    old.install.worker()
    old.shell.gate("resolve", "story:doubt", "--applied", "--why", "it is out")
    old.shell.gate("resolve", "deadly:poison", "--not-applied", "--why", "mended")

    until(lambda: old.states()["deadly:poison"] == "done", 30, "the poison to run")

    assert old.states()["story:doubt"] == "done"
    assert old.effects.count("story:doubt") == 0
    assert old.effects.count("deadly:poison") == 1


def test_the_journal_of_the_old_version_is_read_whole(old: Old) -> None:
    whole = project(sorted((old.install.state_dir / "journal").glob("*.jsonl")))

    states = {key: state.state for (_, key), state in whole.keys.items()}
    states |= dict.fromkeys((key for key, _ in whole.calls.values()), "waiting")
    expected = {key: KEYS[key]["state"] for key in EFFECTS} | dict.fromkeys(OPEN, "waiting")
    assert whole.damages == []
    assert states == {key: state for key, state in expected.items() if key != "story:refused"}  # compacted away
    assert list(whole.forbidden) == ["nobody-knows-it"]


def test_recovered_into_an_empty_redis_nothing_is_sent_twice(old: Old) -> None:
    old.store.flushall()

    done = old.shell.gate("recover")

    assert (done["damaged"], done["torn"]) == ([], [])
    states = old.states()
    for key in EFFECTS - OPEN - {"story:refused"}:
        assert states[key] == KEYS[key]["state"], key
    old.install.worker()
    until(old.open_ones_are_done, 60, "the calls that waited to be done")
    assert old.effects.counts() == dict.fromkeys(OPEN, 1)
