"""The signals that wake the supervisor and the web process, which otherwise sleep."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

import settings
from tests.harness import patient
from web import idle

#: Waits much longer than the test for what the end of a child must wake, and tells what it saw.
WAITING = """
import json, select, signal, subprocess, time
from deploy import wake_up
waker = wake_up.WakeUp()
waker.install()
child = subprocess.Popen(["true"])
woken = bool(select.select([waker], [], [], 30)[0])
waker.clear()
print(json.dumps({"woken": woken, "again": bool(select.select([waker], [], [], 0)[0]), "code": child.wait()}))
"""

FORKED = """
import os, signal
from deploy import wake_up
wake_up.WakeUp().install()
if os.fork() == 0:
    wake_up.uninstall()
    os._exit(signal.getsignal(signal.SIGCHLD) != signal.SIG_DFL or signal.set_wakeup_fd(-1) != -1)
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def run(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=settings.ROOT, capture_output=True, text=True, check=True, timeout=patient(60)
    ).stdout


def test_the_end_of_a_child_wakes_whoever_waits_and_once() -> None:
    assert {"woken": True, "again": False, "code": 0} == json.loads(run(WAITING))


def test_a_fork_that_gives_it_up_has_the_signals_of_a_new_program() -> None:
    assert "0" == run(FORKED).strip()


class Server:
    """As much of uvicorn's server as its loop needs."""

    config = SimpleNamespace(limit_max_requests=None)

    def __init__(self) -> None:
        self.turns, self.should_exit = 0, False

    async def main_loop(self) -> None:
        raise AssertionError("uvicorn's own loop ran")

    async def on_tick(self, _counter: int) -> bool:
        self.turns += 1
        if self.turns == 1:
            asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)
        return self.should_exit

    def handle_exit(self, _number: int, _frame: object) -> None:
        self.should_exit = True


def test_a_signal_ends_the_loop_of_the_web_process_at_once_although_it_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "TURN_SECONDS", 30.0)
    idle.install(Server)
    server, before = Server(), signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, server.handle_exit)
    began = time.monotonic()
    try:
        asyncio.run(server.main_loop())
    finally:
        signal.signal(signal.SIGTERM, before)

    assert 2 == server.turns
    assert time.monotonic() - began < idle.TURN_SECONDS
