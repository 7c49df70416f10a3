"""The attention of people: when one last looked at a page of the desk, or with a command. An alert that nobody looked after is escalated."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from state.redis import client
from state.redis.client import now_ms

#: People who are kept; far more than look after one installation.
MAX_PEOPLE = 100


def key() -> str:
    """zset: person → ms when they last looked"""
    return "gate:{house}:looked"


@dataclass(frozen=True)
class Look:
    """A person's last look."""

    by: str
    at: datetime


def looked(by: str) -> None:
    """Record that a person looks now.

    Args:
        by: Who, as the desk or the command line knows them.

    Raises:
        StoreError: Redis does not answer.

    """
    redis = client.client()
    at = now_ms(redis)
    with redis.pipeline(transaction=True) as pipe:
        pipe.zadd(key(), {by: at}, gt=True).zremrangebyrank(key(), 0, -MAX_PEOPLE - 1).execute()


def last_looked() -> Look | None:
    """Return who looked last, or None if nobody ever did; raises StoreError."""
    newest = client.client().zrange(key(), 0, 0, desc=True, withscores=True)
    return Look(str(newest[0][0]), datetime.fromtimestamp(newest[0][1] / 1000, UTC)) if newest else None
