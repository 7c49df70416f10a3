"""One installation of Gatehouse under test: its folders, its environment, its processes, its commands."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import redis
from dotenv import dotenv_values

from server_urls.redis_url import read as read_url
from state.redis import client, opening
from tests.harness import forks
from tests.harness.polling import GaveUp, patient, until
from tests.harness.ports import free_ports
from tests.harness.process import Process

ROOT = Path(__file__).resolve().parents[2]
AGENTS = ROOT / "tests" / "agents"

#: What the product logs, as `{"event": …}`, when a process has begun to work.
READY_EVENT = "worker ready"
BEAT_READY_EVENT = "beat ready"

#: What a process may see of the developer's own environment; settings and secrets stay out.
PASSED_ON = ("HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "COVERAGE_PROCESS_CONFIG")

#: Whether `make coverage` measures the processes, which save their data when they end, but not when they are killed.
MEASURED = "COVERAGE_PROCESS_CONFIG" in os.environ

#: Loads the product as `celery -A workers` does, for snippets.
LOAD_APP = "from celery.app.utils import find_app\napp = find_app('workers')\napp.loader.import_default_modules()\n"

ENDED = ("SUCCESS", "FAILURE", "REVOKED")


class Install:
    """A whole system in `folder`. Make it in a fixture; `close()` kills what is left."""

    shows_processes = (
        False  #: whether `ps` has to show the command line and the environment of each, which no fork does
    )

    def __init__(
        self,
        folder: Path,
        redis_url: str,
        *,
        task_modules: Sequence[str] = ("storyteller", "counter"),
        env: Mapping[str, str] | None = None,
        root: Path = ROOT,
    ) -> None:
        self.folder = folder
        self.root = root  #: where the product's source is: here, or a changed copy of it
        self.redis_url = redis_url
        self.web_port, self.flower_port = free_ports(2)
        self.processes: list[Process] = []
        for path in (self.state_dir, self.content_dir, self.public_dir, self.notes_dir, folder / "log"):
            path.mkdir(parents=True, exist_ok=True)
        self.env = {**self._environment(task_modules), **(env or {})}
        self._redis: redis.Redis = _client(redis_url)

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    @property
    def content_dir(self) -> Path:
        return self.folder / "content"

    @property
    def public_dir(self) -> Path:
        return self.folder / "public"

    @property
    def notes_dir(self) -> Path:
        """Where the test agents leave marks: which attempts began, what was undone."""
        return self.folder / "notes"

    @property
    def web_url(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def flower_url(self) -> str:
        return f"http://127.0.0.1:{self.flower_port}"

    # Processes

    def worker(
        self, pool: str = "threads", concurrency: int = 4, n: int = 1, deadline: float = 30.0, queues: str = ""
    ) -> Process:
        """Start `n` workers at once, wait until all consume, and return the last (all are in `processes`)."""
        return self.workers(n, pool, concurrency, deadline, queues)[-1]

    def workers(
        self, n: int, pool: str = "threads", concurrency: int = 4, deadline: float = 30.0, queues: str = ""
    ) -> list[Process]:
        """Start `n` workers at once, of these queues or of the default one, and wait until all consume."""
        started = [self._start_worker(pool, concurrency, queues) for _ in range(n)]
        for worker in started:
            worker.wait_for(READY_EVENT, deadline)
        return started

    def beat(self, deadline: float = 30.0) -> Process:
        beat = self.start("beat", self._procfile("beat", "celery -A workers beat"))
        beat.wait_for(BEAT_READY_EVENT, deadline)
        return beat

    def web(self, deadline: float = 30.0) -> Process:
        web = self.start("web", self._procfile("web", "python -m web"))
        self._wait_for_http(web, f"{self.web_url}/healthz", deadline)
        return web

    def flower(self, deadline: float = 30.0) -> Process:
        default = f"celery -A workers flower --address=127.0.0.1 --port={self.flower_port}"
        flower = self.start("flower", self._procfile("flower", default))
        self._wait_for_http(flower, f"{self.flower_url}/healthcheck", deadline)
        return flower

    def start(self, name: str, command: Sequence[str]) -> Process:
        """Start any process in this installation's environment; it is killed at the end."""
        number = 1 + sum(process.name.startswith(name) for process in self.processes)
        log = self.folder / "log" / f"{name}{number}"
        process = Process(f"{name}{number}", command, self.env, self.root, log, may_fork=not self.shows_processes)
        self.processes.append(process)
        return process

    def close(self) -> None:
        """Kill every process and close the connection; under `make coverage` they may first save what they measured."""
        if MEASURED:
            for process in self.processes:
                process.ask_to_stop()
            for process in self.processes:
                with contextlib.suppress(GaveUp):
                    process.wait()
        for process in self.processes:
            process.kill9()
        self._redis.close()

    # Commands

    def celery(self, *args: str, deadline: float = 30.0) -> subprocess.CompletedProcess[str]:
        """`celery -A workers …`, whatever its exit code."""
        return self._run([sys.executable, "-m", "celery", "-A", "workers", *args], deadline)

    def call(self, task: str, **kwargs: Any) -> str:
        """Start a task through `celery call`; answers its call id."""
        done = self.celery("call", task, "--kwargs", json.dumps(kwargs))
        return _succeeded(done).stdout.split()[-1]

    def gate(self, *args: str) -> Any:
        """`celery -A workers gate … --json`, which must succeed; answers what it printed."""
        done = _succeeded(self.celery("gate", *args, "--json"))
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise AssertionError(
                f"gate {' '.join(args)} --json printed no JSON:\n{done.stdout}\n{done.stderr}"
            ) from None

    def explain(self, key: str) -> dict[str, Any]:
        explained: dict[str, Any] = self.gate("explain", key)
        return explained

    def python(self, code: str, deadline: float = 60.0) -> str:
        """Run a snippet in this environment, with `app` loaded; answers its stdout."""
        done = self._run([sys.executable, "-c", LOAD_APP + textwrap.dedent(code)], deadline)
        return _succeeded(done).stdout

    def json_of(self, code: str, deadline: float = 60.0) -> Any:
        """Run a snippet whose last printed line is JSON; answers that."""
        return json.loads(self.python(code, deadline).splitlines()[-1])

    def delay(self, task: str, *calls: Mapping[str, Any]) -> list[str]:
        """Start a task once per set of arguments through `.delay()`, one right after the other; answers the call ids."""
        code = f"""
            import json
            calls = json.loads({json.dumps(list(calls))!r})
            print(json.dumps([app.tasks[{task!r}].delay(**kwargs).id for kwargs in calls]))
        """
        ids: list[str] = self.json_of(code)
        return ids

    # What is to be seen

    def state(self, agent: str) -> dict[str, Any]:
        """The agent's JSON file."""
        found: dict[str, Any] = json.loads((self.state_dir / "agents" / f"{agent}.json").read_text())
        return found

    def result(self, call: str, deadline: float = 15.0) -> dict[str, Any]:
        """Wait for the result of a call's first message and return its meta: `status`, `result`, `traceback`, …"""
        return until(lambda: self._meta(call), deadline, f"the result of call {call}")

    def results(self, calls: Sequence[str], deadline: float = 30.0) -> list[dict[str, Any]]:
        until(lambda: all(self._meta(call) for call in calls), deadline, f"the results of {len(calls)} calls")
        return [self.result(call) for call in calls]

    def answer(self, call: str, deadline: float = 15.0) -> dict[str, Any]:
        """Wait for a call's answer, a success or a refusal; a failed attempt fails the test."""
        meta = self.result(call, deadline)
        assert meta["status"] == "SUCCESS", meta
        answer: dict[str, Any] = meta["result"]
        return answer

    def endings(self, call: str) -> list[dict[str, Any]]:
        """The meta of every message of a call that has ended, oldest first: one per deferral, and one for all attempts."""
        pattern = f"celery-task-meta-{call}*"
        ids = [str(key).removeprefix("celery-task-meta-") for key in self._redis.scan_iter(pattern, count=1000)]
        return sorted((meta for each in ids if (meta := self._meta(each))), key=lambda meta: str(meta["date_done"]))

    def notes(self, name: str) -> list[str]:
        """The lines a test agent left under a name."""
        path = self.notes_dir / name
        return path.read_text().splitlines() if path.exists() else []

    def _meta(self, call: str) -> dict[str, Any] | None:
        text = self._redis.get(f"celery-task-meta-{call}")
        meta: dict[str, Any] = json.loads(str(text)) if text else {}
        return meta if meta.get("status") in ENDED else None

    def _start_worker(self, pool: str, concurrency: int, queues: str = "") -> Process:
        name = f"w{len(self.processes) + 1}-{self.web_port}@%h"
        options = ["--pool", pool, "--concurrency", str(concurrency), "--hostname", name]
        options += ["--queues", queues] if queues else []
        # As in the Procfile; the last two save a second at each start.
        quick = ["--task-events", "--without-mingle", "--without-gossip"]
        return self.start("worker", [sys.executable, "-m", "celery", "-A", "workers", "worker", *options, *quick])

    def _procfile(self, name: str, default: str) -> list[str]:
        """The command of the Procfile, or `default` while it has none."""
        path = self.root / "Procfile"
        lines = path.read_text().splitlines() if path.exists() else []
        commands = dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))
        return ["sh", "-c", f"exec {commands.get(name, default).strip()}"]

    def _run(self, command: Sequence[str], deadline: float) -> subprocess.CompletedProcess[str]:
        return forks.run(command, env=self.env, cwd=self.root, timeout=patient(deadline))

    def _wait_for_http(self, process: Process, url: str, deadline: float) -> None:
        def answers() -> bool:
            if not process.alive:
                raise GaveUp(f"{process.name} ended with {process.returncode}:\n{process.output[-4000:]}")
            return http_status(url) == 200

        until(answers, deadline, f"{process.name} to answer at {url}")

    def _environment(self, task_modules: Sequence[str]) -> dict[str, str]:
        own = dict.fromkeys(dotenv_values(ROOT / ".env"), "")  # the developer's .env must not reach a test
        passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        return {
            **own,
            **passed,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "PYTHONPATH": os.pathsep.join(map(str, dict.fromkeys([self.root, AGENTS, ROOT]))),
            "PYTHONUNBUFFERED": "1",
            "REDIS_URL": self.redis_url,
            "STATE_DIR": str(self.state_dir),
            "CONTENT_DIR": str(self.content_dir),
            "PUBLIC_DIR": str(self.public_dir),
            "TASK_MODULES": ",".join(task_modules),
            "WEB_PORT": str(self.web_port),
            "FLOWER_PORT": str(self.flower_port),
            "NOTES_DIR": str(self.notes_dir),
        }


def http_status(url: str) -> int:
    """What a GET of `url` answers, past any proxy."""
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=patient(2)) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


def _succeeded(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    if done.returncode != 0:
        raise AssertionError(f"{done.args} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def _client(url: str) -> Any:
    """A client of redis-py's own; redis-py's of a cluster knows less than ours."""
    if read_url(url).nodes:
        return client.open_client(url, 3, 10)
    return opening.open_client(redis.Redis, url, decode_responses=True)
