"""An installation whose data lies beside the code, as earlier versions kept it, is started by this version."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import settings
from tests.harness import patient, until
from tests.harness.install import PASSED_ON
from tests.harness.ports import free_ports
from tests.torture.build import Build

KEY = "publish:feed:state-at-3am"


class System:
    """A copy of the product with a worker under `deploy.up`, on an embedded server."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "Procfile").write_text("worker: celery -A workers worker --pool threads --concurrency 2\n")
        web, flower = free_ports(2)
        passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        ports = {"WEB_PORT": str(web), "FLOWER_PORT": str(flower)}
        self.env = {**passed, **ports, "PATH": path, "PYTHONPATH": str(root), "LOG_FORMAT": "json"}

    @contextmanager
    def up(self, **given: str) -> Iterator[Path]:
        """Run it until the end of the block; gives the file of what it said."""
        said = self.root / "said.txt"
        with said.open("wb") as out:
            command = [sys.executable, "-m", "deploy.up", "--procfile", str(self.root / "Procfile")]
            child = subprocess.Popen(command, cwd=self.root, env={**self.env, **given}, stdout=out, stderr=out)
        try:
            until(lambda: "worker ready" in said.read_text(), 40, "the worker")
            yield said
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait(timeout=patient(20))

    def run(self, *args: str, **given: str) -> subprocess.CompletedProcess[str]:
        env = {**self.env, **given}
        return subprocess.run(
            [sys.executable, "-m", *args], cwd=self.root, env=env, capture_output=True, text=True, check=False
        )

    def state_of(self, key: str, **given: str) -> str:
        done = self.run("celery", "-A", "workers", "gate", "explain", key, "--json", **given)
        return str(json.loads(done.stdout)["state"]) if done.returncode == 0 else ""


def test_make_up_takes_over_the_data_of_an_earlier_version_and_knows_its_keys() -> None:
    with Build(settings.ROOT, "takeover") as build:
        system, old = System(build.folder), str(build.folder / "state")
        with system.up(STATE_DIR=old):
            arguments = ["--kwargs", json.dumps({"post_id": "state-at-3am", "destination": "feed"})]
            called = system.run("celery", "-A", "workers", "call", "tasks.publisher.publish", *arguments, STATE_DIR=old)
            assert called.returncode == 0, called.stderr
            until(lambda: system.state_of(KEY, STATE_DIR=old) == "done", 40, "the post to be out")
            while_it_runs = system.run("deploy.up", "--procfile", str(build.folder / "Procfile"))
        by_hand = system.run("celery", "-A", "workers", "gate", "explain", KEY)
        with system.up() as said:
            [moved] = [line for line in said.read_text().splitlines() if "moved the data" in line]
            now = system.state_of(KEY)

        assert while_it_runs.returncode == 1
        assert "stop that process" in while_it_runs.stderr
        assert by_hand.returncode == 1
        assert by_hand.stderr.startswith("gatehouse: ")
        assert "run `make up`" in by_hand.stderr
        assert "journal, agents, run" in json.loads(moved)["event"]
        assert now == "done"
        assert not list((build.folder / "state" / "journal").glob("*.jsonl"))
        assert list((build.folder / "var" / "journal").glob("*.jsonl"))
