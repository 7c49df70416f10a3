"""The installation under torture: its workers reach Redis and the judge through proxies, and each may have faults of its own."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.harness import GaveUp, Install, Process, until
from tests.harness.install import LOAD_APP, READY_EVENT

#: How many effects one worker has in flight at once: so many hits one kill makes.
CONCURRENCY = 32


#: Asks for each name; again and again, if it must.
ASK_ELSEWHERE = """
import time
for name in {names!r}:
    while True:
        try:
            app.send_task("torturer.{task}", kwargs={{"n": name}}, task_id="elsewhere-" + name)
            break
        except Exception as error:
            if not {insist}:
                raise
            print(repr(error), flush=True)
            time.sleep(0.2)
"""


class House(Install):
    """An installation whose processes may each see a different environment. Once it is closed it starts nothing more."""

    shows_processes = True
    closed = False

    def start_in(self, name: str, command: Sequence[str], env: Mapping[str, str], root: Path | None = None) -> Process:
        """Start a process with these variables on top of the installation's own, and maybe from another source."""
        ordinary = self.env, self.root
        self.env, self.root = {**self.env, **env}, root or self.root
        if root:
            self.env["PYTHONPATH"] = f"{root}:{self.env['PYTHONPATH']}"  # before our own, which has the agents
        try:
            return self.start(name, command)
        finally:
            self.env, self.root = ordinary

    def start(self, name: str, command: Sequence[str]) -> Process:
        """As always, unless it is over: then a process that began in between is ended too."""
        if not self.closed:
            process = super().start(name, command)
            if not self.closed:
                return process
            process.kill9()
        raise GaveUp(f"the installation is closed: no {name} is started")

    def close(self) -> None:
        """End every process, for good."""
        self.closed = True
        super().close()

    def begin_worker(
        self,
        pool: str = "threads",
        concurrency: int = CONCURRENCY,
        env: Mapping[str, str] | None = None,
        root: Path | None = None,
        queues: str = "",
        **more: str,
    ) -> Process:
        """Start a worker and do not wait for it; it may have an environment and a source of its own.

        SIGTERM means to it what it means in the Procfile.
        """
        name = f"w{len(self.processes) + 1}-{self.web_port}@%h"
        options = ["--pool", pool, "--concurrency", str(concurrency), "--hostname", name]
        options += ["--queues", queues] if queues else []
        quick = ["--without-mingle", "--without-gossip", "--loglevel", "warning"]
        command = [sys.executable, "-m", "celery", "-A", "workers", "--quiet", "worker", *options, *quick]
        return self.start_in("worker", command, {"REMAP_SIGTERM": "SIGQUIT", **(env or {}), **more}, root)

    def hire(
        self,
        n: int = 1,
        pool: str = "threads",
        concurrency: int = CONCURRENCY,
        env: Mapping[str, str] | None = None,
        **more: str,
    ) -> list[Process]:
        """Start `n` workers at once and wait until all consume."""
        return ready(*(self.begin_worker(pool, concurrency, env, None, **more) for _ in range(n)))

    def ask_elsewhere(self, redis_url: str, task: str, names: list[str], *, insist: bool = False) -> Process:
        """Ask for effects in a process of its own; it ends when it is through, or with `insist`, when all are accepted."""
        code = LOAD_APP + ASK_ELSEWHERE.format(task=task, names=names, insist=insist)
        return self.start_in("asker", [sys.executable, "-c", code], {"REDIS_URL": redis_url})

    def revive(self, n: int) -> None:
        """What a supervisor does: see to it that `n` workers run."""
        if len(self.living) < n:
            self.hire(n - len(self.living))

    @property
    def living(self) -> list[Process]:
        """The workers that run, or are stopped."""
        return [process for process in self.processes if process.name.startswith("worker") and process.alive]

    def stumbles(self, step: str, process: Process) -> int:
        """How often a process stumbled at a step so far."""
        return len(self.notes(f"stumble-{step}-{process.pid}"))

    def wait_held(self, step: str, process: Process, n: int, deadline: float = 30.0) -> None:
        """Wait until `n` threads of a process are held at a step."""
        until(lambda: self.stumbles(step, process) >= n, deadline, f"{n} threads of {process.name} at {step}")

    def go_on(self, process: Process) -> None:
        """Let the threads that are held at a step go on."""
        (self.notes_dir / f"go-{process.pid}").touch()


def ready(*workers: Process, deadline: float = 60.0) -> list[Process]:
    """Wait until all these consume."""
    for worker in workers:
        worker.wait_for(READY_EVENT, deadline)
    return list(workers)


def is_stopped(process: Process) -> bool:
    """Whether the kernel says that a process is stopped by a signal."""
    return _status(process.pid) == "T"


def wait_stopped(process: Process, deadline: float = 30.0) -> None:
    until(lambda: is_stopped(process), deadline, f"{process.name} to be stopped")


def wait_dead(process: Process, deadline: float = 30.0) -> None:
    until(lambda: not process.alive, deadline, f"{process.name} to be dead")


def terminate(process: Process) -> None:
    """Ask it to stop, as a supervisor would, and do not wait."""
    os.kill(process.pid, signal.SIGTERM)


def _status(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
