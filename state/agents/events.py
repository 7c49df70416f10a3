"""The event stream of one agent: its newest settled attempts and refused calls."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from state.redis import client
from state.redis.keys import Keys


@dataclass(frozen=True)
class PastAttempt:
    """One attempt that has ended; `outcome` is `done`, `failed`, `refused` or `unknown`.

    A call that the gate refused counts as an attempt of 0 ms; its `stage` names the check that refused it.
    """

    at_ms: int  #: when it settled, in milliseconds since 1970 by the server's clock
    agent: str
    task: str
    key: str
    outcome: str
    ms: int  #: its duration in milliseconds
    attempt: int  #: its number among the attempts of its call, from 1; 0 if it never began
    stage: str = ""  #: the check that refused it: paused, cap, budget, rate, …; empty if the task ran
    error: str = ""  #: what went wrong, as the agent's errors list it; empty if nothing did, or if the gate refused it


def recent(agent: str, since_ms: int) -> list[PastAttempt]:
    """Return the attempts that settled at `since_ms` or later, oldest first; the stream keeps about a thousand."""
    entries = client.client().xrange(Keys(agent).events, min=str(since_ms))
    return [_past(agent, entry, fields) for entry, fields in entries]


def after(agent: str, entry: str, count: int | None = None) -> list[tuple[str, PastAttempt]]:
    """Return the attempts after an entry of the stream, oldest first, each with its entry; "" for all that are kept."""
    begin = f"({entry}" if entry else "-"
    found = client.client().xrange(Keys(agent).events, min=begin, count=count)
    return [(each, _past(agent, each, fields)) for each, fields in found]


def newest(agent: str, count: int) -> list[tuple[str, PastAttempt]]:
    """Return the newest attempts, newest first, each with its entry in the stream."""
    found = client.client().xrevrange(Keys(agent).events, count=count)
    return [(each, _past(agent, each, fields)) for each, fields in found]


def newest_entries(agents: Sequence[str]) -> dict[str, str]:
    """Return the newest entry of each agent's stream, "" of an empty one, in one round trip."""
    with client.client().pipeline(transaction=False) as pipe:
        for agent in agents:
            pipe.xrevrange(Keys(agent).events, count=1)
        return {agent: found[0][0] if found else "" for agent, found in zip(agents, pipe.execute(), strict=True)}


def _past(agent: str, entry: str, fields: dict[str, str]) -> PastAttempt:
    refusal = {"outcome": "refused", "ms": 0, "attempt": 0}
    values = json.loads(fields["attempt"]) if "attempt" in fields else refusal | json.loads(fields["refusal"])
    return PastAttempt(
        at_ms=int(entry.partition("-")[0]),
        agent=agent,
        task=str(values["task"]),
        key=str(values["key"]),
        outcome=str(values["outcome"]),
        ms=int(values["ms"]),
        attempt=int(values["attempt"]),
        stage=str(values.get("stage", "")),
        error=str(values.get("error", "")) if "attempt" in fields else "",
    )
