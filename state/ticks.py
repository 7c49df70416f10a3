"""The newest tick of each schedule entry."""

from __future__ import annotations

from datetime import datetime

from redis import Redis

from state.names import Names


def last(redis: Redis, agent: str, entry: str) -> datetime | None:
    """When the entry's newest tick was due, or None if it never ran."""
    text = redis.hget(Names(agent).ticks, entry)
    return None if text is None else datetime.fromisoformat(str(text))


def remember(redis: Redis, agent: str, entry: str, due: datetime) -> None:
    """The tick of this due time was started."""
    redis.hset(Names(agent).ticks, entry, due.isoformat())


def is_open(redis: Redis, agent: str, call: str) -> bool:
    """Whether the call of a tick is still to run, or running."""
    return redis.hget(Names(agent).call(call), "state") in {"queued", "waiting", "claimed", "sending"}
