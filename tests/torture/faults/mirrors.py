"""The state file: its writer is killed in the middle, it is deleted, and somebody reads it all the time."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from state.redis.keys import Keys
from tests.harness import Process, until
from tests.torture.arena import Arena
from tests.torture.house import wait_dead
from tests.torture.orders import stumble
from tests.torture.producer import AGENT
from tests.torture.scenario import fault


class Reader:
    """Reads the file again and again; `broken` is what could not be read."""

    def __init__(self, path: Path) -> None:
        self.broken: list[str] = []
        self.times = 0
        self._path = path
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._over.wait(0.002):
            try:
                text = self._path.read_text()
            except FileNotFoundError:
                continue
            self.times += 1
            try:
                json.loads(text)
            except ValueError:
                self.broken.append(text[:200])


@fault(
    "F32", "the state file's writer is killed in the middle, the file is deleted, a reader never stops", short=1, long=6
)
def mirror_torn(arena: Arena, rounds: int) -> None:
    path = arena.house.state_dir / "agents" / f"{AGENT}.json"
    reader = Reader(path)
    arena.judge.mode("delay:0.2")
    for number in range(rounds):
        for when in ("mirror.before", "mirror.after"):
            [victim] = arena.house.hire(STUMBLE=stumble(when, nth=arena.random.randint(2, 3)))
            until_it_stumbles(arena, victim)
            arena.hit(victim)
            arena.watch.mark()
        [heir] = arena.house.hire()
        arena.rest()
        until(path.exists, 10, "the state file")
        if number % 2 == 0:
            path.unlink()
        arena.ask(4)
        arena.rest()
        until(lambda: _told(path) == _known(arena), 10, "the state file to say what Redis says")
        heir.kill9()
    reader.close()
    arena.check(f"the state file could always be read ({reader.times} times): {reader.broken[:1]}", not reader.broken)
    arena.house.hire()


def until_it_stumbles(arena: Arena, victim: Process) -> None:
    """Change its state, and so let it write, until it is killed on the way."""
    for _ in range(20):
        asked = set(arena.ask(4))
        until(
            lambda keys=asked: not victim.alive or keys <= set(arena.judge.counts()),  # type: ignore[misc]
            30,
            "the worker to be dead or done",
        )
        if not victim.alive:
            return
    wait_dead(victim)


def _told(path: Path) -> Any:
    return json.loads(path.read_text())["metrics"]["total_done"]


def _known(arena: Arena) -> int:
    return int(arena.valkey.client().hget(Keys(AGENT).metrics, "total_done") or 0)
