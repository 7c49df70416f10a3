"""The ticks of each schedule entry: the newest one that was looked at, and those that were started."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from state.agents import measures
from state.redis import client
from state.redis.client import now_ms
from state.redis.keys import Keys

#: So many started ticks of an entry are known for ever: those of three months of a half-hourly one. The calls of all
#: newer ones are known for a week besides.
KEPT = 5000

#: Ticks of an entry that beat passed over and whose reason is kept: those of a day of a half-hourly entry.
KEPT_REASONS = 48

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


def all_last(agents: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the newest tick of every entry of these agents, as text, by agent and entry. Takes one round trip."""
    names = list(dict.fromkeys(agents))
    with client.client().pipeline(transaction=False) as pipe:
        for agent in names:
            pipe.hgetall(Keys(agent).ticks)
        return dict(zip(names, pipe.execute(), strict=True))


def remember(agent: str, entry: str, due: datetime, became: str = "started", missed: int = 0) -> None:
    """Note that the tick of this due time was started or passed over; it is not looked at again.

    Args:
        agent: The agent.
        entry: The name of the schedule entry.
        due: When the tick was due.
        became: What became of it, in one word, for /metrics.
        missed: How many ticks before it were not started, likewise.

    """
    n = Keys(agent)
    with client.client().pipeline(transaction=True) as pipe:
        pipe.hset(n.ticks, entry, due.isoformat()).hdel(n.failing, entry)
        pipe.hincrby(n.measures, measures.of_tick(entry, became), 1)
        if missed:
            pipe.hincrby(n.measures, measures.of_tick(entry, "missed"), missed)
        pipe.execute()


def passed_over(agent: str, entry: str, due: datetime, why: str) -> None:
    """Note why the tick of this due time is not started, for people; nothing depends on it."""
    name = Keys(agent).passed_over(entry)
    with client.client().pipeline(transaction=True) as pipe:
        pipe.lpush(name, json.dumps([due.isoformat(), why])).ltrim(name, 0, KEPT_REASONS - 1)
        pipe.execute()


def reasons(agent: str, entry: str) -> dict[datetime, str]:
    """Return why the newest ticks that beat passed over were not started, by due time."""
    noted = map(json.loads, client.client().lrange(Keys(agent).passed_over(entry), 0, -1))
    return {datetime.fromisoformat(due): str(why) for due, why in noted}


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


def states(agent: str, entry: str, dues: Sequence[datetime]) -> list[str | None]:
    """Return the state of each tick's call; "over" if its record has expired, None if it was never started."""
    n = Keys(agent)
    with client.client().pipeline(transaction=False) as pipe:
        for due in dues:
            pipe.hget(n.call(call_of(entry, due)), "state").zscore(n.started(entry), str(int(due.timestamp())))
        found = pipe.execute()
    pairs = zip(found[::2], found[1::2], strict=True)
    return [str(state) if state else "over" if score is not None else None for state, score in pairs]


def first_started(agent: str, entry: str) -> datetime | None:
    """Return the due time of the oldest started tick that is known; None if none is."""
    found = client.client().zrange(Keys(agent).started(entry), 0, 0)
    return datetime.fromtimestamp(int(found[0]), UTC) if found else None


def call_of(entry: str, due: datetime) -> str:
    """Return the id of the call of one tick."""
    return f"tick:{entry}:{due.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


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
    state, at_ms = redis.hmget(n.call(call_of(entry, due)), "state", "at_ms")
    return Newest(due, state and str(state), int(at_ms or 0))


def any_open(agent: str, calls: Sequence[str]) -> bool:
    """Return whether one of these calls is still to run, or running."""
    states = client.hash_fields(client.client(), map(Keys(agent).call, calls), "state")
    return any(state in OPEN for [state] in states)
