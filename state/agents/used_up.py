"""The budgets that are used up: whose calls do not start until some of their tokens are a whole period old."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from state.redis import client
from state.redis.client import now_ms
from state.redis.keys import Keys


@dataclass(frozen=True)
class UsedUp:
    """One budget that is used up; times are milliseconds since 1970."""

    task: str
    scope: str
    rule: str
    limit: int
    tokens: int  #: that count for it
    key: str  #: whose attempt spent the last of them
    since_ms: int
    until_ms: int

    @property
    def whose(self) -> str:
        """The task, and the value of the budget's scope."""
        return f"{self.task} ({self.scope})" if self.scope else self.task


def read(agents: Sequence[str]) -> dict[str, list[UsedUp]]:
    """Return the budgets of each agent that are used up now, in two round trips. Raises StoreError."""
    redis = client.client()
    now = now_ms(redis)
    with redis.pipeline(transaction=False) as pipe:
        for agent in agents:
            pipe.hgetall(Keys(agent).used_up)
        listed = pipe.execute()
    return {agent: list(of_list(found, now)) for agent, found in zip(agents, listed, strict=True)}


def of_list(listed: Mapping[str, str], now: int) -> Iterator[UsedUp]:
    """Yield those of a list in Redis that are still used up; the next tokens that are spent take the others off it."""
    for name, text in listed.items():
        told = json.loads(text)
        if told["until"] > now:
            *_, scope = name.split(":", 5)
            yield UsedUp(
                told["task"],
                scope,
                told["rule"],
                int(told["limit"]),
                int(told["tokens"]),
                told["key"],
                int(told["since"]),
                int(told["until"]),
            )
