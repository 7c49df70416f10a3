"""Ids that were revoked before any call was registered under them: a message that carries one does not run."""

from __future__ import annotations

from collections.abc import Sequence

from redis import Redis

from state.redis.keys import Keys
from state.redis.script import Script

_forbid = Script("forbid")


def is_forbidden(redis: Redis, agent: str, call: str) -> bool:
    """Return whether this id was revoked before a call was registered under it."""
    state, key = redis.hmget(Keys(agent).call(call), "state", "key")
    return state == "cancelled" and key is None


def forbid(redis: Redis, agents: Sequence[str], call: str, by: str, keep_ms: int) -> list[str]:
    """Record that a call under this id must not run, for each agent that does not know the id.

    Args:
        redis: The server.
        agents: The agents.
        call: The id.
        by: Who revoked it.
        keep_ms: How long the record is kept, in milliseconds.

    Returns:
        The Redis keys that were written.

    """
    names = [Keys(agent).call(call) for agent in agents]
    return [name for name in names if _forbid(redis, {"call": name}, by=by, keep_ms=keep_ms)[0] == "forbidden"]
