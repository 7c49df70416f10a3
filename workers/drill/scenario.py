"""What a fault is made with: one account at the destination, the task that writes to it, and the workers to hurt."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TypeVar
from uuid import uuid4

from gatekeeper.task import GateTask
from state.agents import history
from state.journal import journal
from state.ledger.ledger import Ledger
from state.ledger.resolve import Resolution, resolve
from state.ledger.sweep import DueCall
from state.redis import client
from workers.application import Gatehouse
from workers.drill.account import Account
from workers.drill.worker_pool import WorkerPool

LOOK_AGAIN_SECONDS = 0.05

T = TypeVar("T")


class NotDrilled(RuntimeError):
    """Raised when what a fault needs did not come about in time."""


class Scenario:
    """One fault's own task, key and account. Nothing here waits beyond `deadline`, a time of `time.monotonic`."""

    def __init__(self, app: Gatehouse, task: GateTask, account: Account, crew: WorkerPool, deadline: float) -> None:
        self._app, self._task, self._crew = app, task, crew
        self.account, self.deadline = account, deadline
        self._kwargs = dict.fromkeys(task.gate.contract.parameters, task.gate.agent)
        self._key = task.gate.key(self._kwargs, "")
        self._calls: list[str] = []

    @property
    def can_look_up(self) -> bool:
        return self._task.gate.verify is not None

    # Doors

    def call(self, times: int = 1) -> None:
        """Ask for the same thing so many times."""
        self._calls += [self._app.send_task(self._task.name, kwargs=self._kwargs).id for _ in range(times)]

    def register(self) -> None:
        """What a door leaves that dies before it sends the message, and what a broker leaves that loses it."""
        call = self._task.gate.call((), self._kwargs, id=str(uuid4()), door="drill")
        Ledger(client.client()).register(call)

    def deliver_again(self, times: int) -> None:
        """The message of the first call once more."""
        for _ in range(times):
            self._app.resend(DueCall(self._calls[0], self._task.name, json.dumps(self._kwargs)))

    def say_not_applied(self) -> None:
        """A person looked at the destination, and nothing was there."""
        word = Resolution("not-applied", "drill", "nothing is there")
        resolve(client.client(), journal.current(), self._task.gate.agent, self._key, word)

    # Faults

    def hold(self, place: str) -> None:
        self.account.hold(place)

    def held(self, place: str) -> int:
        """Wait until a task is held up there; answers its process."""
        return self.until(lambda: self.account.sender(place), f"the task to be {place}")

    def kill(self, place: str) -> None:
        """Kill the worker whose task is held up there."""
        self._crew.kill(self.held(place))

    def pause(self, place: str) -> Callable[[], None]:
        """Freeze the worker whose task is held up there; answers how to wake it."""
        pid = self.held(place)
        self._crew.pause(pid)
        self.account.release(place)
        return lambda: self._crew.resume(pid)

    # What is to be seen

    @property
    def state(self) -> str:
        return self._task.standing(**self._kwargs) or "not known"

    def until_state(self, *states: str) -> None:
        self.until(lambda: self.state in states, f"the key to be {' or '.join(states)}")

    def until(self, condition: Callable[[], T | None], what: str) -> T:
        """Wait for something true and return it; raises NotDrilled."""
        while not (value := condition()):
            if time.monotonic() > self.deadline:
                raise NotDrilled(f"waited in vain for {what}; the key is {self.state}")
            time.sleep(LOOK_AGAIN_SECONDS)
        return value

    def how(self) -> str:
        """The way that the key went, in the words of its story."""
        told = history.read_history([self._task.gate.agent], self._key)
        steps = [_step(event) for event in told["story"]] if told else []
        return " → ".join(dict.fromkeys(step for step in steps if step))


def _step(event: dict[str, object]) -> str:
    match event:
        case {"event": "unknown" | "done" | "failed" as step}:
            return str(step)
        case {"event": "verify", "outcome": "found"}:
            return "found by look-up"
        case {"event": "waiting", "why": "proven absent" as why}:
            return f"{why}, sent again"
        case {"event": "resolved"}:
            return "a person: not applied"
    return ""
