"""Keep processes running: start the server, then the others; restart what dies; stop in the opposite order."""

from __future__ import annotations

import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from deploy.output import Lines, Output, TerminalOutput
from deploy.process import Process, describe_exit
from deploy.pulse import SILENT_SECONDS, STUCK_SECONDS, PulseFile
from deploy.wake_up import WakeUp
from state.processes import deaths

#: Seconds. Celery's soft shutdown gives running tasks 5 s; this leaves 3 s more, and the whole stop stays under 10 s.
STOP_SECONDS = 8.0

#: Seconds. The server only has to sync its last second of writes.
SERVER_STOP_SECONDS = 1.5

#: Seconds. The watchdog has nothing to stop any more.
WATCHDOG_STOP_SECONDS = 1.0

#: Seconds between two looks while something is to happen soon: the server answers, the web process answers, all has ended.
TICK_SECONDS = 0.02

#: Seconds between two checks of the pulse files, and the longest wait: nothing else wakes this process when all is well.
PULSE_CHECK_SECONDS = 1.0

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """A single-threaded loop, in which everything happens in `_tick`: when a process ends or writes, and once a second.

    Args:
        server: The embedded server; None if REDIS_URL names another one.
        ready: Returns whether the server answers.
        processes: The processes of the Procfile.
        watchdog: The process that stops the others if this one is killed.
        output: Where to log.
        pulses: The folder of the pulse files.
        deaths_file: The file in which deaths are counted.

    """

    def __init__(
        self,
        server: Process | None,
        ready: Callable[[], bool],
        processes: Sequence[Process],
        watchdog: Process,
        output: Output,
        pulses: Path,
        deaths_file: Path,
    ) -> None:
        self._servers = [server] if server else []
        self._ready, self._processes, self._watchdog = ready, processes, watchdog
        self._output, self._pulses, self._deaths = output, pulses, deaths_file
        self._pulses_checked = 0.0
        self._roster: int | None = None  # the write end of the watchdog's stdin
        self._selector = selectors.DefaultSelector()
        self._woken = WakeUp()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._stop_requested = self._stop_now = False

    def run(self, every_tick: Callable[[], bool]) -> None:
        """Run until a signal requests the stop.

        Args:
            every_tick: Called in each tick once the server is ready; returns whether to call it again soon.

        """
        for number in SIGNALS:
            signal.signal(number, self._request_stop)
        self._woken.install()
        try:
            self._tick(self._servers)
            while not self._stop_requested and not self._ready():
                self._tick(self._servers, TICK_SECONDS)
            wait = TICK_SECONDS
            while not self._stop_requested:
                self._tick([*self._servers, *self._processes], wait)
                wait = TICK_SECONDS if every_tick() else PULSE_CHECK_SECONDS
        finally:
            self._stop()

    def _request_stop(self, number: int, _frame: FrameType | None) -> None:
        # Only a second Ctrl-C skips the wait: make, timeout and systemd may all pass on one and the same SIGTERM.
        self._stop_now = self._stop_requested and number == signal.SIGINT
        self._stop_requested = True

    def _tick(self, processes: Sequence[Process], wait: float = 0.0) -> None:
        watched = (self._watchdog, *processes)
        for process in watched:
            self._keep_running(process)
        self._check_pulses(processes)
        dues = [process.due for process in watched if not process.child]
        self._relay_output(max(0.0, min([wait, *(due - time.monotonic() for due in dues)])))

    def _keep_running(self, process: Process) -> None:
        """Start a process if it is due; schedule its restart if it has died."""
        code = process.ended()
        if code is not None:
            for _ in range(2):  # its last lines, then the end of its pipe; both come before the news of its death
                self._relay_output(0)
            self._schedule_restart(process, describe_exit(code))
        if process.child or time.monotonic() < process.due:
            return
        try:
            self._start(process)
        except OSError as error:  # no memory or no process id is left; the next try may find some
            self._schedule_restart(process, str(error.strerror))

    def _start(self, process: Process) -> None:
        if process is self._watchdog:
            self._start_watchdog()
        elif isinstance(self._output, TerminalOutput):
            self._start_relayed(process, self._output)
        elif process in self._servers:
            process.start(stdout=sys.stderr.fileno())  # stdout is for JSON lines, and the server writes none
        else:
            process.start()
        process.pulse = PulseFile(self._pulses, process.pid)
        process.pulse.remove()  # it belongs to an earlier process with the same id
        self._send_roster()
        self._output.log("process started", process=process.name, pid=process.pid)

    def _start_relayed(self, process: Process, output: TerminalOutput) -> None:
        ours, theirs = os.pipe()
        try:
            process.start(stdout=theirs)
        finally:
            os.close(theirs)
            self._selector.register(ours, selectors.EVENT_READ, Lines(process.name, ours, output))

    def _start_watchdog(self) -> None:
        if self._roster is not None:
            os.close(self._roster)
        theirs, self._roster = os.pipe()
        try:
            self._watchdog.start(stdin=theirs)
        finally:
            os.close(theirs)

    def _schedule_restart(self, process: Process, reason: str) -> None:
        pause = process.schedule_restart()
        with suppress(OSError):  # a full disk is told by those who look at disks
            deaths.record(self._deaths, process.name, reason)
        self._send_roster()
        event = f"process died, starts again in {pause:g} s"
        self._output.log(event, "warning", process=process.name, reason=reason)

    def _send_roster(self) -> None:
        """Tell the watchdog which processes run, in the order in which they must stop."""
        stages = ((self._processes, STOP_SECONDS), (self._servers, SERVER_STOP_SECONDS))
        roster = "".join(
            f"{round(seconds * 10)} {' '.join(str(process.pid) for process in stage if process.child)};"
            for stage, seconds in stages
        )
        if self._roster is not None:
            with suppress(BrokenPipeError):  # it has died; the next one gets the roster when it starts
                os.write(self._roster, f"{roster}\n".encode())

    def _check_pulses(self, processes: Sequence[Process]) -> None:
        """Once per PULSE_CHECK_SECONDS: report processes that have gone silent, and kill those that stay so."""
        if time.monotonic() - self._pulses_checked < PULSE_CHECK_SECONDS:
            return
        self._pulses_checked = time.monotonic()
        for process in processes:
            silence = process.pulse.silent_seconds() if process.pulse and process.child else 0.0
            if silence < SILENT_SECONDS:
                process.reported_silent = False
            elif process.pulse and not self._ready():
                process.pulse.restart_clock()  # it waits for the server
            else:
                self._handle_silence(process, silence)

    def _handle_silence(self, process: Process, silence: float) -> None:
        fields = {"process": process.name, "pid": process.pid, "silent_seconds": round(silence)}
        if not process.reported_silent:
            process.reported_silent = True
            hint = f"it is killed in {STUCK_SECONDS - silence:.0f} s if it stays silent"
            self._output.log("process silent, it runs but does nothing", "error", **fields, hint=hint)
        if silence >= STUCK_SECONDS:
            self._output.log("process killed, it was silent for too long", "error", **fields)
            process.kill()

    def _relay_output(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            if key.fileobj is self._woken:
                self._woken.clear()
                continue
            lines: Lines = key.data
            if not lines.relay():
                self._selector.unregister(lines.descriptor)
                os.close(lines.descriptor)

    def _stop(self) -> None:
        self._output.log("stopping")
        self._end(self._processes, STOP_SECONDS)
        self._end(self._servers, SERVER_STOP_SECONDS)
        self._send_roster()
        if self._roster is not None:
            os.close(self._roster)
        if self._watchdog.child:
            deadline = time.monotonic() + WATCHDOG_STOP_SECONDS
            while self._watchdog.child.poll() is None and time.monotonic() < deadline:
                time.sleep(TICK_SECONDS)
        while self._selector.select(0):
            self._relay_output(0)
        self._output.log("stopped")

    def _end(self, processes: Sequence[Process], seconds: float) -> None:
        """Send SIGTERM to all; kill those that still run after `seconds`, or at once after a second Ctrl-C."""
        deadline = time.monotonic() + seconds
        for process in processes:
            process.terminate()
        while running := [process for process in processes if process.child and process.ended() is None]:
            if time.monotonic() >= deadline or self._stop_now:
                break
            self._relay_output(TICK_SECONDS)
        for process in running:
            self._output.log("process killed, it did not stop in time", "warning", process=process.name)
            process.kill()
        for process in running:
            if process.child:
                process.child.wait()
