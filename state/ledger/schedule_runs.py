"""The ticks of each schedule entry: the newest one that was looked at, and those that were started."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from state.redis import client
from state.redis.client import now_ms
from state.redis.keys import Keys

#: So many started ticks of an entry are known for ever: those of three months of a half-hourly one. The calls of all
#: newer ones are known for a week besides.
KEPT = 5000

OPEN = {"queued", "waiting", "claimed", "sending"}


@dataclass(frozen=True)
class Newest:
    """The newest tick of an entry: when it was due, and the state of its call since when (None: it has none)."""

    due: datetime | None
    state: str | None
    at_ms: int


def now() -> datetime:
    """Return the time by the server's clock, which is the one clock of all beats; raises StoreError."""
    return datetime.fromtimestamp(now_ms(client.client()) / 1000, UTC)


def last(agent: str, entry: str) -> datetime | None:
    """Return when the entry's newest tick was due, started or passed over; None if it never had one."""
    text = client.client().hget(Keys(agent).ticks, entry)
    return None if text is None else datetime.fromisoformat(str(text))


def remember(agent: str, entry: str, due: datetime) -> None:
    """Note that the tick of this due time was started or passed over; it is not looked at again."""
    n = Keys(agent)
    with client.client().pipeline(transaction=True) as pipe:
        pipe.hset(n.ticks, entry, due.isoformat()).hdel(n.failing, entry)
        pipe.execute()


def failed(agent: str, entry: str, at: datetime, why: str) -> None:
    """Note that the entry's tick could not be started; the next tick that is started removes the note."""
    client.client().hset(Keys(agent).failing, entry, json.dumps({"at": at.isoformat(timespec="seconds"), "why": why}))


def failure(agent: str, entry: str) -> dict[str, str] | None:
    """Return when and why the entry's newest tick could not be started; None if it could."""
    text = client.client().hget(Keys(agent).failing, entry)
    return None if text is None else dict(json.loads(str(text)))


def started(agent: str, entry: str, due: datetime) -> None:
    """Note that the call of this tick was registered."""
    name, seconds = Keys(agent).started(entry), int(due.timestamp())
    with client.client().pipeline(transaction=True) as pipe:
        pipe.zadd(name, {str(seconds): seconds}).zremrangebyrank(name, 0, -KEPT - 1)
        pipe.execute()


def was_started(agent: str, entry: str, due: datetime) -> bool:
    """Return whether this tick was ever started, also when its call is no longer known."""
    return client.client().zscore(Keys(agent).started(entry), str(int(due.timestamp()))) is not None


def newest_started(agent: str, entry: str, number: int) -> list[datetime]:
    """Return the due times of the newest started ticks, `number` at most, newest first."""
    found = client.client().zrange(Keys(agent).started(entry), 0, number - 1, desc=True)
    return [datetime.fromtimestamp(int(seconds), UTC) for seconds in found]


def newest(agent: str, entry: str) -> Newest:
    """Return the newest tick that was looked at, and the state of its call."""
    redis = client.client()
    n = Keys(agent)
    due = last(agent, entry)
    if due is None:
        return Newest(None, None, 0)
    call = n.call(f"tick:{entry}:{due.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    state, at_ms = redis.hmget(call, "state", "at_ms")
    return Newest(due, state and str(state), int(at_ms or 0))


def any_open(agent: str, calls: Sequence[str]) -> bool:
    """Return whether one of these calls is still to run, or running."""
    states = client.hash_fields(client.client(), map(Keys(agent).call, calls), "state")
    return any(state in OPEN for [state] in states)
