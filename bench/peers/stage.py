"""One peer's running system: a server, the judge, workers that are restarted when they die, and two doors."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from bench.peers.door import Door
from bench.peers.peer import ADAPTERS, Peer
from bench.peers.system import System
from settings import ROOT
from tests.effects.client import EffectServer
from tests.harness import GaveUp, Process, until

#: Seconds for workers to start and to begin with every key.
BEGINS_WITHIN = 60.0
#: Seconds after which a fault ends although requests still come.
LASTS_AT_MOST = 120.0
LOOK_EVERY = 0.1


class Stage:
    """Use it as `with Stage(peer, python) as stage:`; `python` is the interpreter that has the peer."""

    def __init__(self, peer: Peer, python: Path) -> None:
        self._peer, self._python = peer, python
        self.settled = True  #: whether the peer came to rest each time

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="peers-")))
            self.effects = EffectServer(folder).start()
            stack.callback(self.effects.kill9)
            env = {"EFFECTS_URL": self.effects.base_url}
            self._system = stack.enter_context(System(folder, self._python, env))
            self._worker = self._start_worker()
            self._doors = [self._open_door(number) for number in range(2)]
            for door in self._doors:
                stack.callback(door.close)
                door.wait_until_ready()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def call(self, *keys: str) -> None:
        """Ask for each key once."""
        for key in keys:
            self._doors[0].ask(key)
            self._check(self._doors[0].answer())

    def call_at_once(self, *keys: str) -> None:
        """Ask for each key through both doors at the same time."""
        for key in keys:
            for door in self._doors:
                door.ask(key)
            for door in self._doors:
                self._check(door.answer())

    def wait_for_attempts(self, *keys: str) -> None:
        """Wait until an attempt at each key has begun."""
        until(lambda: all(self._attempts(key) for key in keys), BEGINS_WITHIN, "an attempt at each key")

    def wait_for_effects(self, *keys: str) -> None:
        """Wait until each key has reached the judge."""
        until(lambda: all(self.effects.arrived(key) for key in keys), BEGINS_WITHIN, "a request for each key")

    def kill_workers(self, *keys: str) -> None:
        """Kill the processes that work on these keys, and only those."""
        for pid in {pid for key in keys for pid in self._attempts(key)}:
            with contextlib.suppress(ProcessLookupError):  # another key's attempt may have been in the same process
                if os.getsid(pid) != self._worker.pid:
                    raise GaveUp(f"process {pid} is none of the worker's")
                os.kill(pid, signal.SIGKILL)

    def kill_group(self) -> None:
        """Kill the workers with all their processes, as a machine that stops would."""
        self._worker.kill9()

    def settle(self, quiet: float) -> None:
        """Wait until nothing has reached the judge for so many seconds, restarting workers that end."""
        began = changed = time.monotonic()
        seen = self.effects.arrived()
        while (now := time.monotonic()) - changed < quiet:
            if (arrived := self.effects.arrived()) != seen:
                seen, changed = arrived, now
            if not self._worker.alive:
                self._worker = self._start_worker()
                changed = now
            if now - began > LASTS_AT_MOST:
                self.settled = False
                break
            time.sleep(LOOK_EVERY)

    @property
    def log(self) -> str:
        """Return the end of the workers' output."""
        return self._worker.output[-3000:]

    def _check(self, answer: str) -> None:
        """Raise unless the call was taken, or refused as the peer documents it; a broken door proves nothing."""
        if answer != "called" and not answer.startswith(self._peer.refuses):
            raise GaveUp(f"a call failed: {answer}")

    def _attempts(self, key: str) -> list[int]:
        return [int(pid) for pid in self._system.install.notes(key)]

    def _start_worker(self) -> Process:
        return self._system.start("worker", self._peer.command)

    def _open_door(self, number: int) -> Door:
        command = self._system.command(f"{ADAPTERS}.door", self._peer.module)
        install = self._system.install
        return Door(command, install.env, ROOT, install.folder / "log" / f"door{number}")
