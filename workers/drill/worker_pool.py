"""The drill's workers: started as the installation starts its own, and killed one by one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import settings


class WorkerEnded(RuntimeError):
    """Raised when a worker of the drill ended and nobody had killed it; says what it wrote last."""


class WorkerPool:
    """As many workers as were asked for; for each that is killed another one is started."""

    def __init__(self, folder: Path, order: Mapping[str, Any], size: int) -> None:
        self._folder, self._order = folder, json.dumps(order)
        self._all: list[tuple[subprocess.Popen[bytes], Path]] = []
        for _ in range(size):
            self._start()

    def is_ready(self) -> bool:
        """Whether every worker takes messages. Raises WorkerEnded."""
        for process, log in self._all:
            if process.poll() is not None:
                raise WorkerEnded(f"a worker of the drill ended with {process.returncode}: {_last_line(log)}")
        return all(b'"worker ready"' in log.read_bytes() for _, log in self._all)

    def kill(self, pid: int) -> None:
        """End one as the kernel does when memory runs out, and start another."""
        [(process, log)] = [each for each in self._all if each[0].pid == pid]
        self._all.remove((process, log))
        _end(process)
        self._start()

    def pause(self, pid: int) -> None:
        self._signal(pid, signal.SIGSTOP)

    def resume(self, pid: int) -> None:
        self._signal(pid, signal.SIGCONT)

    def close(self) -> None:
        for process, _ in self._all:
            _end(process)

    def _start(self) -> None:
        log = self._folder / f"worker-{len(list(self._folder.glob('worker-*')))}.log"
        with log.open("wb") as output:
            command = [sys.executable, "-m", "workers.drill.worker", self._order]
            process = subprocess.Popen(  # noqa: S603 - ourselves
                command, cwd=settings.ROOT, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT
            )
        self._all.append((process, log))

    def _signal(self, pid: int, number: signal.Signals) -> None:
        [process] = [process for process, _ in self._all if process.pid == pid]
        process.send_signal(number)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdin:
        process.stdin.close()


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return lines[-1] if lines else "it wrote nothing"
