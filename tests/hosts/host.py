"""One host: a network, a name, a boot and a clock of its own, with a STATE_DIR, two workers and a beat."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.harness import Process, forks, patient
from tests.harness.install import BEAT_READY_EVENT, ROOT
from tests.harness.namespaces import Namespace
from tests.torture.house import House, ready
from tests.torture.shim import Shim

WORKERS = 2
#: Effects that one worker has in flight at once.
CONCURRENCY = 8
#: Gives the machine a name and a boot of its own, and becomes the command.
_BOOT = 'hostname "$1" && mount --bind "$2" /proc/sys/kernel/random/boot_id && shift 2 && exec "$@"'


class Host(House):
    """An installation whose processes and commands run on a machine of their own, as far as they can see.

    Args:
        name: Of the host.
        folder: For all that it has.
        line: Its network.
        env: Where its servers are.
        uptime: Seconds by which its boot clock is ahead of that of this machine.

    """

    def __init__(self, name: str, folder: Path, line: Namespace, env: Mapping[str, str], uptime: int) -> None:
        folder.mkdir(parents=True)
        self.name, self.line, self.queue = name, line, f"on-{name}"
        self._uptime = uptime
        self._boot = folder / "boot"
        self._boot.write_text(f"{uuid.uuid4()}\n")
        self._clock = Shim(folder, "clock")
        modules = ["torturer", "lodger"]
        super().__init__(folder, env["REDIS_URL"], task_modules=modules, env={"HOST_NAME": name, **env})

    def start(self, name: str, command: Sequence[str]) -> Process:
        """Start a process there."""
        return super().start(name, self._there(command))

    def turn_on(self) -> Callable[[], None]:
        """Start its workers and its beat; return what waits until all work."""
        queues = f"celery,{self.queue}"
        workers = [
            self.begin_worker(concurrency=CONCURRENCY, env=self._clock.env, queues=queues) for _ in range(WORKERS)
        ]
        table = str(Path(__file__).with_name("tables") / "beat_schedule.py")
        options = ["-A", "workers", "--quiet", "beat", "--loglevel", "warning"]
        command = [sys.executable, "-m", "tests.torture.beat", table, *options]
        beat = self.start_in("beat", command, self._clock.env)

        def wait() -> None:
            ready(*workers)
            beat.wait_for(BEAT_READY_EVENT, 60)

        return wait

    def set_clock(self, seconds: float) -> None:
        """Let its wall clock be so far ahead from now on."""
        self._clock.clock(seconds)

    def lose_power(self) -> None:
        """End every process of it at once."""
        for process in self.processes:
            process.kill9()

    @property
    def senders(self) -> set[str]:
        """Its processes, as the judge knows them."""
        return {str(process.pid) for process in self.processes}

    def ask_gate(self, *args: str) -> Any:
        """`gatehouse … --json` there, which must succeed."""
        done = self._run([sys.executable, "-m", "celery", "-A", "workers", "gate", *args, "--json"], 60)
        assert done.returncode == 0, f"gate {args} on {self.name}: {done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    def _run(self, command: Sequence[str], deadline: float) -> subprocess.CompletedProcess[str]:
        return forks.run(self._there(command), env=self.env, cwd=ROOT, timeout=patient(deadline))

    def _there(self, command: Sequence[str]) -> list[str]:
        machine = ["unshare", "--uts", "--time", "--boottime", str(self._uptime), "sh", "-c", _BOOT, "boot"]
        return self.line.command(*machine, self.name, str(self._boot), *command)
