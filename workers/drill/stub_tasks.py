"""The tasks of a drill: each has the policies of a task of the installation, and a body that only calls the fake provider."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from contextvars import Context
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

import gatekeeper
from clients import http
from gatekeeper.errors import ClaimLost, LeaseExpired
from gatekeeper.policies.policy import Breaker, Effect, Rate
from gatekeeper.policies.spec import TaskSpec, registered
from gatekeeper.run.attempt import current
from gatekeeper.task import GateTask
from workers.drill.fake_provider import MAX_HOLD

#: Durations of every stub task, whatever the original says: short enough that a drill takes a minute. Safety does not
#: depend on any of them.
LEASE, DRAIN, INTERVAL, BACKOFF = "3s", "1s", "1s", "300ms"
#: Seconds for a report: longer than the provider holds one.
REPORT_SECONDS = MAX_HOLD + 10.0
#: The policies that are drilled if no task is named.
DEFAULT_POLICIES: dict[str, Any] = {"key": "drill:{n}", "attempts": 3, "breaker": Breaker(after=3, cooldown=INTERVAL)}


def replace_tasks(agents: Sequence[str], task: str | None, url: str = "") -> list[GateTask]:
    """Remove every task from this process's registry, and define one stub task for each of these agents.

    Args:
        agents: The agents to define.
        task: The name of the task whose policies the stubs get; None for DEFAULT_POLICIES.
        url: The fake provider's URL; empty in a process that runs no task.

    Returns:
        The stub tasks, in the order of `agents`.

    """
    original = registered()[task] if task else None
    registered().clear()
    return [_task(agent, original, Stub(url, agent)) for agent in agents]


def _task(agent: str, original: TaskSpec | None, stub: Stub) -> GateTask:
    parameters = original.contract.parameters if original else ("n",)
    can_look_up = original is None or original.verify is not None
    like = (original and original.effect) or Effect()
    find = stub.find if can_look_up else None
    effect = Effect(find, accepts=like.accepts, absences=like.absences, drain=DRAIN, every=INTERVAL)
    policies = _policies(original) if original else DEFAULT_POLICIES
    decorate = gatekeeper.task(effect=effect, lease=LEASE, backoff=BACKOFF, **policies)
    return decorate(_with_signature(stub.publish, agent, parameters))


class Stub:
    """The body of one agent's stub task: it reports its stages to the fake provider, and sends it one effect."""

    def __init__(self, url: str, agent: str) -> None:
        self._url = f"{url}/{agent}"
        self._headers = {"X-Sender": str(os.getpid())}

    def report(self, stage: str) -> None:
        """Report that the task is at this stage, and wait while the provider holds it there.

        The request does not belong to the attempt, whose lease would end it: a worker that was paused reports after its lease.
        """
        url = f"{self._url}/at/{stage}"
        with suppress(requests.RequestException):
            Context().run(http.request, "GET", url, headers=self._headers, timeout=REPORT_SECONDS)

    def publish(self, **_: str) -> dict[str, Any]:
        """Run the task: send one effect through the gate."""
        self.report("before the effect")
        try:
            with gatekeeper.effect(payload={"key": current().call.key}) as frozen:
                self.report("inside the effect")
                return self._send(frozen)
        except (ClaimLost, LeaseExpired):
            self.report("refused")
            raise

    def find(self, payload: dict[str, str]) -> dict[str, Any] | None:
        """Look the effect up at the provider, as `Effect(verify=…)` asks."""
        url = f"{self._url}/effects?key={quote(payload['key'])}"
        answer = http.request("GET", url, headers=self._headers)
        if answer.status_code == requests.codes.not_found:
            return None
        answer.raise_for_status()
        return {"id": answer.json()["id"]}

    def _send(self, payload: dict[str, str]) -> dict[str, Any]:
        answer = http.request("POST", f"{self._url}/effects", json=payload, headers=self._headers)
        answer.raise_for_status()
        if answer.json()["cut"] and cut_connections():
            self.report("cut")
        return {"id": answer.json()["id"]}


def cut_connections() -> int:
    """Shut down every connection of this process to Redis and the broker, and return how many there were."""
    cut = 0
    for path in Path("/dev/fd").iterdir():
        with suppress(OSError):
            # A second descriptor of a file would be left open, and hold the lock that this process has on it.
            if not path.is_socket():
                continue
            with closing(socket.socket(fileno=os.dup(int(path.name)))) as connection:
                if connection.getpeername():  # a socket pair within this process has an empty name
                    connection.shutdown(socket.SHUT_RDWR)
                    cut += 1
    return cut


def _policies(original: TaskSpec) -> dict[str, Any]:
    """Return the policies of a task, with every wait shortened so that it fits into a drill."""
    breaker = original.breaker
    return {
        "key": original.policies.key,
        "rate": [Rate(f"{rate.burst}/second", scope=rate.scope) for rate in original.rates],
        "cap": list(original.caps),
        "budget": list(original.budgets),
        "breaker": breaker and Breaker(breaker.after, INTERVAL, breaker.scope),
        "attempts": original.attempts,
        "max_age": original.policies.max_age,
    }


def _with_signature(method: Callable[..., Any], agent: str, parameters: Sequence[str]) -> Callable[..., Any]:
    """Return a function that calls `method`, in the module of that agent, with these parameters of type str."""

    def publish(**arguments: str) -> Any:
        return method(**arguments)

    named = [Parameter(name, Parameter.KEYWORD_ONLY, annotation=str) for name in parameters]
    publish.__signature__ = Signature(named)  # type: ignore[attr-defined]  # inspect looks there first
    publish.__annotations__ = dict.fromkeys(parameters, str) | {"return": dict[str, Any]}
    publish.__module__, publish.__qualname__ = agent, publish.__name__
    return publish
