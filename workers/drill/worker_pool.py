"""The drill's workers: the pool that starts and kills them, and the program that each of them runs.

A worker is `python -m workers.drill.worker_pool '{"name", "agents", "task", "url"}'`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from celery.signals import task_prerun

import settings
from workers.drill import sandbox, stub_tasks

#: What a drill's worker needs of Celery, after `celery worker`.
OPTIONS = ("--pool", "threads", "--concurrency", "4", "--without-mingle", "--without-gossip", "--without-heartbeat")


class WorkerEnded(RuntimeError):
    """Raised when a worker of the drill ended although the drill did not kill it; quotes its last line of output."""


class WorkerPool:
    """A fixed number of worker processes; a killed one is replaced at once.

    Args:
        folder: The sandbox's folder, for the workers' logs.
        config: What each worker gets as its argument, in JSON.
        size: How many workers run.

    """

    def __init__(self, folder: Path, config: Mapping[str, Any], size: int) -> None:
        self._folder, self._config = folder, json.dumps(config)
        self._workers: dict[int, tuple[subprocess.Popen[bytes], Path]] = {}  #: by process id
        for _ in range(size):
            self._start()

    def is_ready(self) -> bool:
        """Tell whether every worker consumes messages; raises WorkerEnded."""
        for process, log in self._workers.values():
            if process.poll() is not None:
                raise WorkerEnded(f"a worker of the drill ended with {process.returncode}: {last_line(log)}")
        return all(b'"worker ready"' in log.read_bytes() for _, log in self._workers.values())

    def kill(self, pid: int) -> None:
        """Kill one worker, as the kernel does when memory runs out, and start another."""
        _end(self._workers.pop(pid)[0])
        self._start()

    def pause(self, pid: int) -> None:
        """Stop one worker's process until `resume`."""
        self._workers[pid][0].send_signal(signal.SIGSTOP)

    def resume(self, pid: int) -> None:
        """Let a stopped worker run again."""
        self._workers[pid][0].send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Kill every worker."""
        for process, _ in self._workers.values():
            _end(process)

    def _start(self) -> None:
        log = self._folder / f"worker-{len(list(self._folder.glob('worker-*')))}.log"
        with log.open("wb") as output:
            command = [sys.executable, "-m", "workers.drill.worker_pool", self._config]
            process = subprocess.Popen(  # noqa: S603 - ourselves
                command, cwd=settings.ROOT, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT
            )
        self._workers[process.pid] = process, log


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdin:
        process.stdin.close()


def last_line(log: Path) -> str:
    """Return the last line of a process's output, for an error message."""
    lines = log.read_text(errors="replace").splitlines()
    return lines[-1] if lines else "it wrote nothing"


def exit_with_parent(cleanup: Callable[[], object] = lambda: None) -> None:
    """Exit when the parent ends, however it ends: the parent holds the other end of standard input.

    Args:
        cleanup: Runs before the exit.

    """

    def watch() -> None:
        os.read(sys.stdin.fileno(), 1)
        try:
            cleanup()
        finally:
            os._exit(1)

    threading.Thread(target=watch, name="parent watch", daemon=True).start()


def main() -> None:
    """Run one worker until it is killed."""
    exit_with_parent()
    config: dict[str, Any] = json.loads(sys.argv[1])
    app = sandbox.isolate_app(config["name"])
    tasks = stub_tasks.replace_tasks(config["agents"], config["task"], config["url"])
    stubs = {task.name: stub_tasks.Stub(config["url"], task.spec.agent) for task in tasks}

    @task_prerun.connect(weak=False)
    def _report_message(sender: Any, **_: Any) -> None:
        if sender.name in stubs:
            stubs[sender.name].report("message")

    app.worker_main(["--quiet", "worker", *OPTIONS, "--hostname", f"{config['name']}@%h", "--loglevel", "warning"])


if __name__ == "__main__":
    main()
