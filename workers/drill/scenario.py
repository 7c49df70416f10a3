"""One fault's scenario: its task and key, its account at the fake provider, and the workers to harm."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TypeVar
from uuid import uuid4

from gatekeeper.task import GateTask
from state.agents import history
from state.ledger import Ledger
from state.ledger.resolve import Resolution
from state.ledger.sweep import DueCall
from workers.application import Gatehouse
from workers.drill.fake_provider import ProviderAccount
from workers.drill.worker_pool import WorkerPool

#: Seconds between two checks of a condition.
POLL_INTERVAL = 0.05

T = TypeVar("T")


class NotDrilled(RuntimeError):
    """Raised when a condition that a fault waits for did not become true in time."""


class Scenario:
    """The target of one fault.

    Args:
        app: The application, isolated in the sandbox.
        task: The stub task, of an agent of its own.
        account: The agent's account at the fake provider.
        pool: The workers, which all scenarios share.
        deadline: No method waits longer than until this time of `time.monotonic()`, in seconds.

    """

    def __init__(
        self, app: Gatehouse, task: GateTask, account: ProviderAccount, pool: WorkerPool, deadline: float
    ) -> None:
        self._app, self._task, self._pool = app, task, pool
        self.account, self.deadline = account, deadline
        self._kwargs = dict.fromkeys(task.spec.contract.parameters, task.spec.agent)
        self._key = task.spec.key(self._kwargs, "")
        self._calls: list[str] = []

    @property
    def can_look_up(self) -> bool:
        """Tell whether the task can look its effects up."""
        return self._task.spec.verify is not None

    # Calls

    def call(self, times: int = 1) -> None:
        """Call the task so many times, always with the same key."""
        self._calls += [self._app.send_task(self._task.name, kwargs=self._kwargs).id for _ in range(times)]

    def register(self) -> None:
        """Register a call without a message, as a process does that dies before it sends the message."""
        call = self._task.spec.call((), self._kwargs, id=str(uuid4()), origin="drill")
        Ledger().register(call)

    def deliver_again(self, times: int) -> None:
        """Send the message of the first call again, so many times."""
        for _ in range(times):
            self._app.resend(DueCall(self._calls[0], self._task.name, json.dumps(self._kwargs)))

    def resolve_not_applied(self) -> None:
        """Resolve the key as a person does who looked at the provider and found nothing."""
        resolution = Resolution("not-applied", "drill", "nothing is there")
        Ledger().resolve(self._task.spec.agent, self._key, resolution)

    # Faults

    def wait_until_held(self, stage: str) -> int:
        """Wait until a task is held at this stage, and return the process id of its worker."""
        return self.until(lambda: self.account.held_sender(stage), f"the task to be {stage}")

    def kill(self, stage: str) -> None:
        """Kill the worker whose task is held at this stage."""
        self._pool.kill(self.wait_until_held(stage))

    def pause(self, stage: str) -> Callable[[], None]:
        """Stop the process of the worker whose task is held at this stage; returns a function that resumes it."""
        pid = self.wait_until_held(stage)
        self._pool.pause(pid)
        self.account.release(stage)
        return lambda: self._pool.resume(pid)

    # Observations

    @property
    def state(self) -> str:
        """The state of the key."""
        return self._task.key_state(**self._kwargs) or "not known"

    def until_state(self, *states: str) -> None:
        """Wait until the key is in one of these states; raises NotDrilled."""
        self.until(lambda: self.state in states, f"the key to be {' or '.join(states)}")

    def until(self, condition: Callable[[], T | None], what: str) -> T:
        """Wait until `condition` returns something true, and return that.

        Args:
            condition: Called every POLL_INTERVAL seconds.
            what: What is waited for, for the error message.

        Raises:
            NotDrilled: The deadline passed.

        """
        while not (value := condition()):
            if time.monotonic() > self.deadline:
                raise NotDrilled(f"waited in vain for {what}; the key is {self.state}")
            time.sleep(POLL_INTERVAL)
        return value

    def summary(self) -> str:
        """Return the main events of the key in order, such as "unknown → found by look-up → done"."""
        told = history.read_history([self._task.spec.agent], self._key)
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
