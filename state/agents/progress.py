"""The progress of one call: its state, and once it has ended, its answer. For callers that ask again and again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from state.model import ENDED
from state.redis import client
from state.redis.keys import Keys


@dataclass(frozen=True)
class CallProgress:
    """The state of a call. JSON texts are as the ledger stores them, empty if there is none."""

    state: str
    key: str
    result: str = ""  #: of the key, if the call is done
    flaw: str = ""  #: why a result is not good
    refusal: str = ""  #: why the call was refused, failed or waits
    replayed: bool = False  #: it ran nothing: its key was done before

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED

    @property
    def receipt(self) -> dict[str, Any]:
        """The refusal as a dict; empty if there is none."""
        return json.loads(self.refusal) if self.refusal else {}


def read(agent: str, call: str) -> CallProgress | None:
    """Return how far a call is, or None if the agent has no such call. Takes one round trip until the call is done."""
    redis, n = client.client(), Keys(agent)
    state, key, refusal, attempts = redis.hmget(n.call(call), "state", "key", "answer", "attempts")
    if state is None:
        return None
    if state != "done":
        return CallProgress(state, key or "", refusal=refusal or "")
    result, flaw = redis.hmget(n.key(key or ""), "result", "flaw")
    return CallProgress(state, key or "", result or "", flaw or "", replayed=not int(attempts or 0))
