"""The autonomy of an agent: whether its effects are only told, wait for a person's approval, or are sent.

A person's choice counts; until there is one, AUTONOMY_<AGENT> does.
"""

from __future__ import annotations

from typing import Literal, cast, get_args

import settings
from state.agents import audit
from state.agents.audit import Said
from state.redis import client
from state.redis.client import now_ms
from state.redis.keys import Keys

#: observe: nothing is sent, and the story says what would have been; ask: each effect waits for an approval; act: it is sent.
Mode = Literal["observe", "ask", "act"]
MODES: tuple[Mode, ...] = get_args(Mode)


def default(agent: str) -> Mode:
    """Return the mode that counts until a person has chosen one: that of AUTONOMY_<AGENT>, or else `act`."""
    return cast("Mode", settings.current().autonomy.get(agent.replace("-", "_"), "act"))


def mode(agent: str) -> Mode:
    """Return how far the agent may go now."""
    return of_head(agent, client.client().hget(Keys(agent).agent_meta, "autonomy"))


def of_head(agent: str, chosen: str | None) -> Mode:
    """Return the mode of an agent from what its head in Redis has, if it has one."""
    return chosen if chosen in MODES else default(agent)


def write(agent: str, chosen: Mode, said: Said, before: Mode) -> None:
    """Let a mode count from now on, and note who said so; it is in the journal already (`Ledger.set_autonomy`)."""
    redis, n = client.client(), Keys(agent)
    at = now_ms(redis)
    with redis.pipeline(transaction=True) as pipe:
        pipe.hset(n.agent_meta, mapping={"autonomy": chosen, "updated_ms": at})
        pipe.hincrby(n.agent_meta, "revision", 1)
        audit.noted(pipe, agent, said, at, before, chosen)
        pipe.execute()
