"""The tasks of a drill: each stands in for a task of the installation, with its gate and without what it does."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
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

#: How long things take in a drill, whatever the task says: no safety rests on them, and a minute must do.
LEASE, DRAIN, EVERY, PAUSE = "3s", "1s", "1s", "300ms"
#: What is drilled if no task is named.
USUAL: dict[str, Any] = {"key": "drill:{n}", "attempts": 3, "breaker": Breaker(after=3, cooldown=EVERY)}


def take_the_stage(agents: Sequence[str], task: str | None, url: str = "") -> list[GateTask]:
    """One task for each of these agents, with the gate of `task`. This process forgets every other agent.

    `url` is the destination's.
    """
    original = registered()[task] if task else None
    registered().clear()
    return [_task(agent, original, Author(url, agent)) for agent in agents]


def _task(agent: str, original: TaskSpec | None, author: Author) -> GateTask:
    parameters = original.contract.parameters if original else ("n",)
    can_look_up = original is None or original.verify is not None
    like = (original and original.effect) or Effect()
    find = author.find if can_look_up else None
    effect = Effect(find, accepts=like.accepts, absences=like.absences, drain=DRAIN, every=EVERY)
    policies = _policies(original) if original else USUAL
    decorate = gatekeeper.task(effect=effect, lease=LEASE, backoff=PAUSE, **policies)
    return decorate(_signed(author.publish, agent, parameters))


class Author:
    """What the tasks of one agent do: tell the destination where they are, and send it one effect."""

    def __init__(self, url: str, agent: str) -> None:
        self._url = f"{url}/{agent}"
        self._headers = {"X-Sender": str(os.getpid())}

    def at(self, place: str) -> None:
        """Come by there. A task that was held up for too long goes on all the same."""
        with suppress(requests.RequestException):
            http.request("GET", f"{self._url}/at/{place}", headers=self._headers)

    def publish(self, **_: str) -> dict[str, Any]:
        self.at("before the line")
        try:
            with gatekeeper.effect(payload={"key": current().call.key}) as frozen:
                self.at("behind the line")
                return self._send(frozen)
        except (ClaimLost, LeaseExpired):
            self.at("refused")
            raise

    def find(self, payload: dict[str, str]) -> dict[str, Any] | None:
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
            self.at("cut")
        return {"id": answer.json()["id"]}


def cut_connections() -> int:
    """Break every connection of this process to Redis and the broker, as a network does: without a word."""
    cut = 0
    for path in Path("/dev/fd").iterdir():
        with suppress(OSError), closing(socket.socket(fileno=os.dup(int(path.name)))) as each:
            if each.getpeername():  # a pair of sockets within this process has no name
                each.shutdown(socket.SHUT_RDWR)
                cut += 1
    return cut


def _policies(original: TaskSpec) -> dict[str, Any]:
    """The gate as the task has it, except that a minute is enough for every wait."""
    breaker = original.breaker
    return {
        "key": original.policies.key,
        "rate": [Rate(f"{rate.burst}/second", scope=rate.scope) for rate in original.rates],
        "cap": list(original.caps),
        "breaker": breaker and Breaker(breaker.after, EVERY, breaker.scope),
        "attempts": original.attempts,
        "max_age": original.policies.max_age,
    }


def _signed(method: Callable[..., Any], agent: str, parameters: Sequence[str]) -> Callable[..., Any]:
    """A function of that agent, with these parameters; each takes a text."""

    def publish(**arguments: str) -> Any:
        return method(**arguments)

    named = [Parameter(name, Parameter.KEYWORD_ONLY, annotation=str) for name in parameters]
    publish.__signature__ = Signature(named)  # type: ignore[attr-defined]  # inspect looks there first
    publish.__annotations__ = dict.fromkeys(parameters, str) | {"return": dict[str, Any]}
    publish.__module__, publish.__qualname__ = agent, publish.__name__
    return publish
