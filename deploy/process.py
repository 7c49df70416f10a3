"""One process that is kept running: its start, its death, the pause before the next start."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from deploy.pulse import Pulse
from settings import ROOT

#: Long enough not to spin, short enough that a single crash is hardly noticed.
FIRST_PAUSE = 1.0

#: What cannot start is still tried twice a minute, so it comes back by itself once its cause is gone.
MAX_RETRY_AFTER = 30.0

#: A process that lived this long was well: its next death begins with the first pause again.
STEADY_SECONDS = 30.0


@dataclass
class Process:
    """A command in a session of its own, so that Ctrl-C reaches only the supervisor and a kill reaches all of it."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    keep: Sequence[int] = ()  #: descriptors it inherits
    due: float = 0.0  #: when it may start (again)
    pause: float = FIRST_PAUSE
    started: float = 0.0
    pulse: Pulse | None = field(default=None, repr=False)
    told: bool = False  #: that it is silent
    child: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        return self.child.pid if self.child else 0

    def start(self, stdout: int | None = None, stdin: int = subprocess.DEVNULL) -> None:
        """Run the command; `stdout` takes its errors too, None leaves it both of ours."""
        self.started = time.monotonic()
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
        """The exit code if the process has ended since the last look (negative: a signal), with it whatever it left."""
        if not self.child or (code := self.child.poll()) is None:
            return None
        self.kill()
        if self.pulse:
            self.pulse.forget()
        self.child, self.pulse, self.told = None, None, False
        return code

    def put_off(self) -> float:
        """Set the next start after a death, and answer the pause: longer each time, until it has lived well again."""
        now = time.monotonic()
        if now - self.started >= STEADY_SECONDS:
            self.pause = FIRST_PAUSE
        pause, self.pause = self.pause, min(self.pause * 2, MAX_RETRY_AFTER)
        self.due = now + pause
        return pause

    def terminate(self) -> None:
        """Ask the process, not its children: Celery's pool children are their parent's to stop."""
        if self.child:
            self.child.terminate()

    def kill(self) -> None:
        if self.child:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.child.pid, signal.SIGKILL)


def describe(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
