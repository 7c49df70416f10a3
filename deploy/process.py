"""One supervised process: how it starts, ends, and waits before the next start."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from deploy.preload import Fork, Program
from deploy.pulse import PulseFile
from settings import ROOT

#: Seconds. Long enough not to spin, short enough that a single crash is hardly noticed.
FIRST_PAUSE = 1.0

#: Seconds. A process that cannot start is still tried twice a minute, so it comes back once the cause is gone.
MAX_PAUSE = 30.0

#: Seconds. After a death, a process that lived this long starts again after the first pause.
STEADY_SECONDS = 30.0


@dataclass
class Process:
    """A command in a session of its own, so that Ctrl-C reaches only the supervisor, and a kill reaches all of it."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    keep: Sequence[int] = ()  #: descriptors that it inherits
    program: Program | None = None  #: the same command, if it may be a fork of this process
    may_fork: Callable[[], bool] = lambda: True  #: asked before each start
    due: float = 0.0  #: when it may start, by the monotonic clock
    pause: float = FIRST_PAUSE  #: seconds before the start after its next death
    started: float = 0.0
    pulse: PulseFile | None = field(default=None, repr=False)
    reported_silent: bool = False
    child: subprocess.Popen[bytes] | Fork | None = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        return self.child.pid if self.child else 0

    def start(self, stdout: int | None = None, stdin: int = subprocess.DEVNULL) -> None:
        """Run the command.

        Args:
            stdout: A descriptor for its output and its errors; None leaves it those of the supervisor.
            stdin: A descriptor for its input.

        """
        self.started = time.monotonic()
        if self.program and self.may_fork():
            self.child = Fork(self.program, self.environment, stdin, stdout, self.keep)
            return
        self.child = subprocess.Popen(
            self.command,
            cwd=ROOT,
            env=dict(self.environment),
            stdin=stdin,
            stdout=stdout,
            stderr=None if stdout is None else subprocess.STDOUT,
            start_new_session=True,
            pass_fds=self.keep,
        )

    def ended(self) -> int | None:
        """Return the exit code if the process has ended since the last call, and kill what it left behind.

        Returns:
            The exit code, the negative number of a signal, or None if it runs or was not started.

        """
        if not self.child or (code := self.child.poll()) is None:
            return None
        self.kill()
        if self.pulse:
            self.pulse.remove()
        self.child, self.pulse, self.reported_silent = None, None, False
        return code

    def schedule_restart(self) -> float:
        """Set when to start again, and return the pause in seconds, which doubles with each death in a row."""
        now = time.monotonic()
        if now - self.started >= STEADY_SECONDS:
            self.pause = FIRST_PAUSE
        pause, self.pause = self.pause, min(self.pause * 2, MAX_PAUSE)
        self.due = now + pause
        return pause

    def terminate(self) -> None:
        """Send SIGTERM to the process only: Celery's main process stops its pool itself."""
        if self.child:
            self.child.terminate()

    def kill(self) -> None:
        """Send SIGKILL to the process and to everything that it started."""
        if self.child:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.child.pid, signal.SIGKILL)


def describe_exit(code: int) -> str:
    """Return how a process ended, such as `exit code 1` or `signal SIGKILL`, from what `Process.ended` returned."""
    names = {int(number): number.name for number in signal.Signals}  # those of real time have no names
    return f"exit code {code}" if code >= 0 else f"signal {names.get(-code, -code)}"


def is_running(pid: int) -> bool:
    """Return whether a process runs; a zombie does not, and in a container it may never be reaped."""
    try:
        os.kill(pid, 0)
        return not Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except ProcessLookupError:
        return False
    except OSError:
        return True  # there is no /proc, or the process ended meanwhile and the next check will see it
