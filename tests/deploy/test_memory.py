"""`python -m deploy.memory`, and the memory of the whole system."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.tools import ROOT, run
from tests.harness import patient
from tests.harness.polling import until
from tests.harness.ports import free_ports

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="only Linux has the proportional set size"
)

ROW = re.compile(r"(?P<name>\S+) +(?P<pid>\d+) +(?P<mb>[\d.]+) MB")

#: The limit for the whole system, which must fit on a server with 1 GB beside everything else.
MAX_MB = 230


def measure(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "deploy.memory", *arguments, env=env)


def rows(text: str) -> dict[str, tuple[int, float]]:
    return {found["name"]: (int(found["pid"]), float(found["mb"])) for found in ROW.finditer(text)}


@pytest.fixture
def family() -> Iterator[subprocess.Popen[str]]:
    """Start a process with one child, whose id it prints."""
    code = "import subprocess; child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True); child.wait()"
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True)
    yield parent
    os.killpg(parent.pid, signal.SIGKILL)
    parent.communicate()


def test_it_measures_a_process_and_its_children(family: subprocess.Popen[str]) -> None:
    assert family.stdout
    child = int(family.stdout.readline())

    found = rows(measure(str(family.pid)).stdout)

    assert {pid for name, (pid, _) in found.items() if name != "sum"} == {family.pid, child}
    assert found["sum"][1] == pytest.approx(sum(mb for name, (_, mb) in found.items() if name != "sum"), abs=0.2)
    assert found["sum"][1] > 1


def test_it_fails_above_the_limit(family: subprocess.Popen[str]) -> None:
    assert (0, 1) == (
        measure(str(family.pid), "--limit", "1000").returncode,
        measure(str(family.pid), "--limit", "1").returncode,
    )


def test_it_says_in_one_line_that_nothing_runs(tmp_path: Path) -> None:
    refused = measure(env={"STATE_DIR": str(tmp_path)})

    assert (1, 1) == (refused.returncode, len(refused.stderr.splitlines()))
    assert "make up" in refused.stderr


@pytest.fixture
def system(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Run what `make up` runs; yield the environment with which commands find it."""
    inherited = {name: value for name, value in os.environ.items() if name not in {"REDIS_URL", "BROKER_URL"}}
    web, flower = free_ports(2)
    own = {"WEB_PORT": str(web), "FLOWER_PORT": str(flower)}
    # structlog imports rich if it is installed, which takes 4 MB in each process; only developers have it.
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "rich.py").write_text("raise ImportError")
    env = {**inherited, **own, "PYTHONPATH": str(hidden)}
    env |= {"STATE_DIR": str(tmp_path / "state"), "PUBLIC_DIR": str(tmp_path / "public")}
    with (tmp_path / "said.txt").open("wb") as said:
        up = subprocess.Popen([sys.executable, "-m", "deploy.up"], cwd=ROOT, env=env, stdout=said, stderr=said)
    yield env
    up.send_signal(signal.SIGTERM)
    up.wait(timeout=patient(15))


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=patient(1)) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def has_published(state: Path) -> bool:
    file = state / "agents" / "publisher.json"
    return file.is_file() and bool(json.loads(file.read_text())["published"])


def test_the_whole_system_at_rest_is_small(system: dict[str, str]) -> None:
    until(lambda: answers(f"http://127.0.0.1:{system['WEB_PORT']}/readyz"), 30)
    until(lambda: answers(f"http://127.0.0.1:{system['FLOWER_PORT']}/healthcheck"), 30)
    until(lambda: has_published(Path(system["STATE_DIR"])), 30)
    until(lambda: "python" not in rows(measure(env=system).stdout), 30, "the processes that render posts to be over")

    measured = measure("--limit", str(MAX_MB), env=system)

    assert measured.returncode == 0, measured.stdout + measured.stderr
    assert {"up", "watchdog", "worker", "beat", "web", "flower"} <= rows(measured.stdout).keys(), measured.stdout
