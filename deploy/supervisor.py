"""Keeps processes running: the server first, then the others; starts again what dies; stops them the other way round."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from deploy.output import Lines, Output
from deploy.process import Process, describe
from deploy.pulse import SILENT_SECONDS, STUCK_SECONDS, Pulse

#: Celery's soft shutdown gives running tasks 5 s; this leaves it 3 more, and the whole stop stays under 10.
STOP_SECONDS = 8.0

#: The server has only its last second of writes to sync.
SERVER_STOP_SECONDS = 1.5

#: How often the processes are looked at: 0.3 % of a core, and nobody waits longer than this.
TICK_SECONDS = 0.05

#: How often the files of their pulses are looked at.
LISTEN_SECONDS = 1.0

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """Single-threaded: everything happens in `_tick`, twenty times a second."""

    def __init__(
        self,
        server: Process | None,
        ready: Callable[[], bool],
        processes: Sequence[Process],
        watchdog: Process,
        output: Output,
        pulses: Path,
    ) -> None:
        self._server, self._ready, self._processes, self._watchdog = server, ready, processes, watchdog
        self._output, self._pulses = output, pulses
        self._looked = 0.0
        self._roster: int | None = None
        self._selector = selectors.DefaultSelector()
        self._asked = self._hurried = False

    def run(self, every_tick: Callable[[], None]) -> None:
        """Run until a signal asks for the end; `every_tick` is called once the server is ready."""
        for number in SIGNALS:
            signal.signal(number, self._ask)
        try:
            while not self._asked and not self._ready():
                self._tick([self._server] if self._server else [])
            while not self._asked:
                self._tick(self._all())
                every_tick()
        finally:
            self._stop()

    def _all(self) -> list[Process]:
        return [*([self._server] if self._server else []), *self._processes]

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        # Only a second Ctrl-C means haste: make, timeout and systemd may all pass on one and the same SIGTERM.
        self._hurried = self._asked and number == signal.SIGINT
        self._asked = True

    def _tick(self, wanted: Sequence[Process]) -> None:
        self._keep(self._watchdog)
        for process in wanted:
            self._keep(process)
        self._listen(wanted)
        self._relay(TICK_SECONDS)

    def _listen(self, wanted: Sequence[Process]) -> None:
        """Once a second: tell which process lives and has gone silent, and start again what stays so."""
        if time.monotonic() - self._looked < LISTEN_SECONDS:
            return
        self._looked = time.monotonic()
        for process in wanted:
            silence = process.pulse.silence() if process.pulse and process.child else 0.0
            if silence < SILENT_SECONDS:
                process.told = False
            elif process.pulse and not self._ready():
                process.pulse.forgive()  # it waits for the server
            else:
                self._is_silent(process, silence)

    def _is_silent(self, process: Process, silence: float) -> None:
        told = {"process": process.name, "pid": process.pid, "silent_seconds": round(silence)}
        if not process.told:
            process.told = True
            left = f"killed in {STUCK_SECONDS - silence:.0f} s unless it goes on"
            self._output.say("process silent, it lives and does nothing", "error", **told, next=left)
        if silence >= STUCK_SECONDS:
            self._output.say("process killed, it was silent for too long", "error", **told)
            process.kill()

    def _keep(self, process: Process) -> None:
        """Start it if it is due; put it off if it has died."""
        code = process.ended()
        if code is not None:
            for _ in ("its last words", "its end"):  # both come before the news of its death
                self._relay(0)
            self._died(process, describe(code))
        if process.child or time.monotonic() < process.due:
            return
        try:
            self._start(process)
        except OSError as error:  # no memory or no process number left: the next try may find some
            self._died(process, str(error.strerror))

    def _start(self, process: Process) -> None:
        if process is self._watchdog:
            self._start_watchdog()
        elif self._output.console:
            self._start_relayed(process)
        elif process is self._server:
            process.start(stdout=sys.stderr.fileno())  # stdout is for JSON lines, and the server writes none
        else:
            process.start()
        process.pulse = Pulse(self._pulses, process.pid)
        process.pulse.forget()  # that of another one with its number
        self._call_the_roll()
        self._output.say("process started", process=process.name, pid=process.pid)

    def _start_relayed(self, process: Process) -> None:
        ours, theirs = os.pipe()
        try:
            process.start(stdout=theirs)
        finally:
            os.close(theirs)
            self._selector.register(ours, selectors.EVENT_READ, Lines(process.name, ours, self._output))

    def _start_watchdog(self) -> None:
        if self._roster is not None:
            os.close(self._roster)
        theirs, self._roster = os.pipe()
        try:
            self._watchdog.start(stdin=theirs)
        finally:
            os.close(theirs)

    def _died(self, process: Process, how: str) -> None:
        pause = process.put_off()
        self._call_the_roll()
        self._output.say(f"process died, starts again in {pause:g} s", "warning", process=process.name, how=how)

    def _call_the_roll(self) -> None:
        """Tell the watchdog who runs, in the order in which they must stop."""
        servers = [self._server] if self._server else []
        stages = ((self._processes, STOP_SECONDS), (servers, SERVER_STOP_SECONDS))
        roster = [([process.pid for process in stage if process.child], seconds) for stage, seconds in stages]
        if self._roster is not None:
            with suppress(BrokenPipeError):  # it died; the next one is told at its start
                os.write(self._roster, f"{json.dumps(roster)}\n".encode())

    def _relay(self, seconds: float) -> None:
        if not self._selector.get_map():
            time.sleep(seconds)
            return
        for key, _ in self._selector.select(seconds):
            lines: Lines = key.data
            if not lines.pass_on():
                self._selector.unregister(lines.descriptor)
                os.close(lines.descriptor)

    def _stop(self) -> None:
        self._output.say("stopping")
        self._end(self._processes, STOP_SECONDS)
        self._end([self._server] if self._server else [], SERVER_STOP_SECONDS)
        self._call_the_roll()
        if self._roster is not None:
            os.close(self._roster)
        if self._watchdog.child:
            with suppress(subprocess.TimeoutExpired):
                self._watchdog.child.wait(timeout=1)
        while self._selector.select(0):
            self._relay(0)
        self._output.say("stopped")

    def _end(self, processes: Sequence[Process], seconds: float) -> None:
        """Ask all of them at once; kill those that have not gone in time, or at once on a second signal."""
        deadline = time.monotonic() + seconds
        for process in processes:
            process.terminate()
        while running := [process for process in processes if process.child and process.ended() is None]:
            if time.monotonic() >= deadline or self._hurried:
                break
            self._relay(TICK_SECONDS)
        for process in running:
            self._output.say("process killed, it did not stop in time", "warning", process=process.name)
            process.kill()
        for process in running:
            if process.child:
                process.child.wait()
