"""The event stream of one agent: how its newest attempts ended, and which calls were refused."""

from __future__ import annotations

import json
from dataclasses import dataclass

from state.redis import client
from state.redis.keys import Keys


@dataclass(frozen=True)
class PastAttempt:
    """One attempt that has ended; `outcome` is `done`, `failed`, `refused` or `unknown`.

    A call that the gate refused is one too: its `stage` says which check refused it, and it took no time.
    """

    at_ms: int  #: when it settled, in milliseconds since 1970 by the server's clock
    agent: str
    task: str
    key: str
    outcome: str
    ms: int  #: how long it took
    attempt: int  #: which attempt of its call it was, from 1; 0 if it never began
    stage: str = ""  #: where it was refused: paused, cap, rate, …; empty if the task ran


def recent(agent: str, since_ms: int) -> list[PastAttempt]:
    """The attempts that settled at `since_ms` or later, oldest first; the stream keeps about the newest thousand."""
    entries = client.client().xrange(Keys(agent).events, min=str(since_ms))
    return [_past(agent, entry, fields) for entry, fields in entries]


def _past(agent: str, entry: str, fields: dict[str, str]) -> PastAttempt:
    refusal = {"outcome": "refused", "ms": 0, "attempt": 0}
    told = json.loads(fields["attempt"]) if "attempt" in fields else refusal | json.loads(fields["refusal"])
    return PastAttempt(
        at_ms=int(entry.partition("-")[0]),
        agent=agent,
        task=str(told["task"]),
        key=str(told["key"]),
        outcome=str(told["outcome"]),
        ms=int(told["ms"]),
        attempt=int(told["attempt"]),
        stage=str(told.get("stage", "")),
    )
