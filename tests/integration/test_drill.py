"""The drill: faults on a running installation, one effect each, and nothing left behind."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Callable
from typing import Any

import psutil
import pytest
import redis

from state.processes import host_signs, liveness
from tests.harness import Install, Process, Valkey, patient, until
from tests.harness.install import ROOT
from tests.torture.build import Build

pytestmark = pytest.mark.slow

#: Seconds that a drill may take on an idle machine: its own default.
LONGEST = 60.0
#: The same for a crowded machine, so that its speed does not decide.
WITHIN = ("--within", str(patient(LONGEST)))
FAULTS = 12
#: What the installation's own worker writes within ten seconds of its start.
OF_THE_BELL = "gate:{house}:incidents"
#: What the broker has while a message is on its way, or while it looks for one that was lost.
OF_A_MESSAGE = {"celery", "unacked", "unacked_index", "unacked_mutex"}


@pytest.fixture
def store(valkey: Valkey) -> redis.Redis:
    return valkey.client()


class Remains:
    """Everything that an installation has: keys, files, processes. Nothing may run but what is idle."""

    def __init__(self, install: Install, store: redis.Redis) -> None:
        self._install, self._store = install, store
        self.before = until(self._between_messages, 10, "a moment in which no message is on its way")

    def now(self) -> dict[str, set[str]]:
        keys = {name for key in self._store.scan_iter(count=1000) if not (name := str(key)).startswith(OF_THE_BELL)}
        signs = {str(name) for key in (liveness.key(), host_signs.key()) for name in self._store.hkeys(key)}
        return {"keys": keys, "files": self._files(), "processes": drilling(self._install), "signs": signs}

    def _between_messages(self) -> dict[str, set[str]] | None:
        """All that there is, without the broker's keys of a message, which the worker's own probes also make."""
        all_now = self.now()
        return None if all_now["keys"] & OF_A_MESSAGE else all_now

    def are_none(self) -> bool:
        """Whether all is as before; for what the kernel takes a moment to clear away."""
        until(
            lambda: self.now() == self.before,
            10,
            lambda: f"all to be as before: more is {self.more()}, less is {self.less()}",
        )
        return True

    def more(self) -> dict[str, set[str]]:
        return {name: found - self.before[name] for name, found in self.now().items()}

    def less(self) -> dict[str, set[str]]:
        return {name: self.before[name] - found for name, found in self.now().items()}

    def _files(self) -> set[str]:
        folders = (self._install.state_dir, self._install.content_dir, self._install.public_dir)
        return {str(path) for folder in folders for path in folder.rglob("*") if path.suffix != ".tmp"}


def drilling(install: Install) -> set[str]:
    """The processes of drills of this installation."""
    found = set()
    for process in psutil.process_iter():
        try:
            words = " ".join(process.cmdline())
            if "workers.drill" in words and process.environ().get("NOTES_DIR") == str(install.notes_dir):
                found.add(f"{process.pid} {words}")
        except psutil.Error:
            continue
    return found


@pytest.fixture
def running(install: Install) -> Install:
    """It works, and has worked."""
    install.worker()
    done = install.call("counter.add", a=1, b=2)
    assert install.answer(done)["result"] == 3
    of_every_agent = ("analyst", "counter", "monitor", "publisher", "reporter", "responder", "storyteller", "writer")
    until(
        lambda: [install.state(agent) for agent in of_every_agent], 10, "the first sweep, which writes of every agent"
    )
    return install


@pytest.fixture
def remains(running: Install, store: redis.Redis) -> Remains:
    return Remains(running, store)


def started(install: Install, *args: str) -> Process:
    return install.start("drill", [sys.executable, "-m", "celery", "-A", "workers", "gate", "drill", *WITHIN, *args])


def until_it_printed(drill: Process, lines: int) -> None:
    until(lambda: drill.output.count("effects: 1") >= lines, LONGEST, f"{lines} lines of\n{drill.output}")


@pytest.mark.timeout(900)
def test_every_fault_leaves_one_effect_and_the_drill_leaves_nothing(running: Install, remains: Remains) -> None:
    done = running.celery("gate", "drill", *WITHIN, deadline=LONGEST)

    assert done.returncode == 0, done.stdout + done.stderr
    *lines, last = done.stdout.splitlines()
    assert len(lines) == FAULTS
    assert all(re.fullmatch(r"\S.* +effects: 1   \S.* \d+\.\d s", line) for line in lines), done.stdout
    assert last == "one effect each, and nothing is left behind"
    assert remains.are_none()
    assert running.answer(running.call("counter.add", a=1, b=2))["result"] == 3


@pytest.mark.timeout(900)
def test_the_gate_of_a_task_is_drilled_without_the_task(running: Install, remains: Remains) -> None:
    rows: list[dict[str, Any]] = json.loads(
        running.celery("gate", "drill", "storyteller.publish", *WITHIN, "--json", deadline=LONGEST).stdout
    )

    assert [(row["effects"], row["ok"]) for row in rows] == [(1, True)] * FAULTS, rows
    assert {"unknown", "done"} == {row["state"] for row in rows}, "nobody can look its effects up"
    assert all(set(row) == {"fault", "effects", "state", "ok", "seconds", "how"} for row in rows)
    assert remains.are_none()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_a_drill_that_is_ended_in_the_middle_leaves_nothing(
    running: Install, remains: Remains, how: signal.Signals
) -> None:
    drill = started(running)
    until_it_printed(drill, 2)
    assert drilling(running)

    psutil.Process(drill.pid).send_signal(how)

    assert drill.wait() != 0
    assert remains.are_none()


@pytest.mark.timeout(900)
def test_a_drill_whose_runner_is_killed_says_so_and_leaves_nothing(running: Install, remains: Remains) -> None:
    drill = started(running)
    until_it_printed(drill, 1)
    [runner] = [int(each.split()[0]) for each in drilling(running) if "drill.runner" in each]

    psutil.Process(runner).kill()

    assert drill.wait() == 1
    assert "the drill ended" in drill.output
    assert remains.are_none()


@pytest.mark.timeout(900)
def test_what_a_drill_left_that_was_killed_with_all_its_processes_goes_with_the_next(
    running: Install, remains: Remains
) -> None:
    drill = started(running)
    until_it_printed(drill, 1)
    pids = [drill.pid, *(int(each.split()[0]) for each in drilling(running))]
    for pid in pids:  # the parent first would clear up
        psutil.Process(pid).suspend()
    for pid in pids:
        psutil.Process(pid).kill()
    drill.wait()
    assert remains.more()["keys"]
    assert remains.more()["files"]

    again = started(running)
    until_it_printed(again, 1)
    psutil.Process(again.pid).send_signal(signal.SIGINT)
    again.wait()

    assert remains.are_none()


@pytest.mark.parametrize(
    ("task", "why"),
    [("counter.add", "counter.add has no effect"), ("nobody.knows", "there is no task 'nobody.knows'")],
)
def test_a_task_that_cannot_be_drilled_is_refused_in_one_line(install: Install, task: str, why: str) -> None:
    done = install.celery("gate", "drill", task)

    assert done.returncode == 1
    assert done.stderr.startswith(why)
    assert not list(install.state_dir.rglob("drill-*"))


def test_no_drill_without_redis(install_on: Callable[[Valkey], Install], fragile_valkey: Valkey) -> None:
    install = install_on(fragile_valkey)
    fragile_valkey.stop()

    done = install.celery("gate", "drill")

    assert done.returncode == 1
    assert done.stderr.startswith("Redis does not answer")


@pytest.mark.timeout(900)
def test_a_drill_of_a_build_that_sends_again_without_proof_is_red(
    install_on: Callable[[Valkey], Install], valkey: Valkey
) -> None:
    with Build(ROOT, "drill") as build:
        build.replace("state/scripts/reclaim.lua", 'to, why = "unknown", why ..', 'to, why = "queued", why ..')
        install = install_on(valkey)
        install.root, install.env["PYTHONPATH"] = build.folder, str(build.folder)
        install.env["TASK_MODULES"] = ""

        done = install.celery("gate", "drill", *WITHIN, "--json", deadline=90)

    rows = {row["fault"]: row for row in json.loads(done.stdout)}
    assert done.returncode == 1
    for fault in ("it was applied", "it arrives late"):
        row = rows[f"worker killed in mid-publish, {fault}"]
        assert (row["effects"], row["ok"]) == (2, False), row
    assert rows["answer lost"]["ok"]
