"""`gatehouse` finds the installation that runs in its folder: without exported variables, and from anywhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.conftest import a_valkey
from tests.harness import Install
from tests.harness.install import AGENTS, ROOT
from tests.harness.polling import patient, until

PARTS = ("server_urls", "state", "gatekeeper", "clients", "tasks", "workers", "web", "deploy")
#: The variables of a terminal in which nothing of Gatehouse was exported.
BARE = {"PATH": os.defpath, "HOME": os.environ.get("HOME", "/")}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout: other tests run installations of this one meanwhile."""
    root = tmp_path_factory.mktemp("root")
    for part in PARTS:
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__", "run", "journal"))
    for file in (*ROOT.glob("*.py"), ROOT / "Procfile"):
        shutil.copy(file, root)
    (root / ".env").write_text("PUBLISH_TO=feed\n")
    return root


def started(root: Path, folder: Path, modules: tuple[str, ...]) -> Iterator[Install]:
    """Run a worker of an installation whose settings only its processes know."""
    server = a_valkey()
    paths = os.pathsep.join(map(str, (root, AGENTS)))
    install = Install(folder, server.url, task_modules=modules, root=root, env={"PYTHONPATH": paths})
    install.shows_processes = True
    install.worker()
    until((install.state_dir / "agents" / f"{modules[0]}.json").exists, 10, "the agents' files")
    yield install
    install.close()
    server.close()


@pytest.fixture(scope="module")
def first(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Install]:
    yield from started(root, tmp_path_factory.mktemp("first"), ("clerk", "counter"))


@pytest.fixture
def second(root: Path, tmp_path: Path) -> Iterator[Install]:
    yield from started(root, tmp_path / "second", ("dawdler",))


def gatehouse(root: Path, *args: str, cwd: Path | None = None, **env: str) -> CompletedProcess[str]:
    """Run the command of this checkout as a terminal does; `python FILE` is what the installed program is."""
    return subprocess.run(
        [sys.executable, str(root / "gatehouse.py"), *args],
        cwd=cwd or root, env={**BARE, "PYTHONPATH": str(root), **env}, capture_output=True, text=True,
        check=False, timeout=patient(20),
    )  # fmt: skip


def agents(done: CompletedProcess[str]) -> set[str]:
    assert done.returncode == 0, done.stdout + done.stderr
    return {head["agent"] for head in json.loads(done.stdout)}


@pytest.mark.parametrize("place", [".", "docs/below", "/"])
def test_the_running_installation_is_found_from_anywhere_and_named(first: Install, root: Path, place: str) -> None:
    folder = root / place
    folder.mkdir(parents=True, exist_ok=True)

    done = gatehouse(root, "status", "--json", cwd=folder)

    assert {"clerk", "counter", "publisher"} <= agents(done)
    assert f"STATE_DIR={first.state_dir}" in done.stderr
    assert "TASK_MODULES=clerk,counter" in done.stderr
    assert "worker" in done.stderr


def test_what_the_terminal_says_stays(first: Install, root: Path, tmp_path: Path) -> None:
    """An exported STATE_DIR that no process has is another installation, which does not run."""
    done = gatehouse(root, "status", "--json", STATE_DIR=str(tmp_path / "elsewhere"))

    assert done.returncode == 1
    assert "Redis does not answer" in done.stderr
    assert str(first.state_dir) not in done.stderr


def test_of_two_installations_one_has_to_be_chosen(first: Install, second: Install, root: Path) -> None:
    unclear = gatehouse(root, "status", "--json")
    chosen = gatehouse(root, "status", "--json", STATE_DIR=str(second.state_dir))

    assert unclear.returncode == 1
    for each in (first, second):
        assert f"STATE_DIR={each.state_dir}" in unclear.stderr
    assert "dawdler" in agents(chosen)
    assert "clerk" not in agents(chosen)


def test_a_folder_in_which_nothing_runs_is_looked_at_as_its_settings_say(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)

    done = gatehouse(copy, "status", "--json")

    assert done.returncode == 1
    assert f"{copy}/var/run/redis.sock" in done.stderr
    assert "make up" in done.stderr


#: What `make up` is to `gatehouse`: a process with a child, both known by their command lines. argv: a name, a value.
UP = """
import os, subprocess, sys
own = dict([sys.argv[1:3]])
subprocess.run([sys.executable, "-c", "print(1, flush=True); input()", "web.app:app"], env=os.environ | own)
"""


@pytest.fixture
def up(root: Path, tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Start a stand-in for `make up` in a copy of the checkout, with a variable in its environment or its child's."""
    running: list[subprocess.Popen[str]] = []
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)

    def start(*, environ: dict[str, str], of_child: tuple[str, str] = ("OWN", "1")) -> Path:
        command = [sys.executable, "-c", UP, *of_child, "deploy.up"]
        each = subprocess.Popen(
            command, cwd=copy, env={**BARE, **environ}, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        running.append(each)
        assert each.stdout
        each.stdout.readline()
        return copy

    yield start
    for each in running:
        each.communicate("")


@pytest.mark.parametrize(
    ("environ", "of_child"),
    [({"PORT": "18477"}, ("OWN", "1")), ({"WEB_PORT": "18477"}, ("OWN", "1")), ({}, ("WEB_PORT", "18477"))],
    ids=["as a host of Procfiles says", "exported", "in .env at its start"],
)
def test_the_doctor_looks_at_the_port_that_the_system_was_started_with(
    up: Callable[..., Path], environ: dict[str, str], of_child: tuple[str, str]
) -> None:
    copy = up(environ=environ, of_child=of_child)

    findings = json.loads(gatehouse(copy, "doctor", "--json").stdout)

    assert "127.0.0.1:18477" in next(each["found"] for each in findings if each["check"] == "web port")


def test_a_change_of_env_that_the_running_system_has_not_read_is_told(up: Callable[..., Path]) -> None:
    copy = up(environ={}, of_child=("PUBLISH_TO", "feed"))
    before = gatehouse(copy, "schedule")
    changed = time.time() + 1
    (copy / ".env").write_text("PUBLISH_TO=feed\nHTTP_TIMEOUT=7\n")
    os.utime(copy / ".env", (changed, changed))
    after = gatehouse(copy, "schedule")

    assert ".env" not in before.stderr
    assert f"make up has run since before {copy}/.env changed" in after.stderr
    assert after.stderr.splitlines()[0].endswith(": HTTP_TIMEOUT")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a process of another user")
def test_a_process_of_a_stranger_does_not_choose_what_root_runs(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    env = {"STATE_DIR": "/tmp/strange", "PYTHONPATH": "/tmp/strange", "TASK_MODULES": "strange"}
    stranger = subprocess.Popen(["/bin/sh", "-c", "sleep 60; :", "deploy.up"], cwd=copy, env=env, user=65534)

    done = gatehouse(copy, "status", "--json")

    stranger.kill()
    stranger.wait()
    assert "/tmp/strange" not in done.stdout + done.stderr
    assert f"{copy}/var/run/redis.sock" in done.stderr


@pytest.mark.parametrize("command", ["status", "doctor"])
def test_a_server_that_is_away_from_a_system_that_runs_is_not_started_a_second_time(
    up: Callable[..., Path], command: str
) -> None:
    copy = up(environ={})

    done = gatehouse(copy, command)

    assert re.search(r"the system runs \(make up, pid \d+\)", done.stdout + done.stderr)
    assert "start the system with" not in done.stdout + done.stderr
