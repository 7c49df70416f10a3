"""Calls that other calls follow: which of them have ended, and that their followers have been started.

A call with followers is in a set from its registration until its followers are registered. So a sweeper
looks after it whatever ends it, and whichever process dies in between. A follower has a fixed id, so starting it twice starts it once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import WatchError

from state.journal import events
from state.journal.journal import Journal
from state.model import ENDED
from state.options import Options, from_json
from state.redis.client import now_ms
from state.redis.keys import Keys

#: Calls looked at per agent in one sweep; those that were not looked at for the longest time come first.
BATCH_SIZE = 200


@dataclass(frozen=True)
class Ended:
    """A call that has ended, and whose followers are to be started."""

    agent: str
    call: str
    task: str
    key: str
    state: str
    options: Options
    result: Any = None  #: what it gave, if it is done
    flaw: bool = False  #: it is done, and its result cannot be used


def ended(redis: Redis, agent: str) -> Iterator[Ended]:
    """Yield the ended calls of an agent that other calls follow; the next sweep checks the others again."""
    n = Keys(agent)
    now = now_ms(redis)
    calls = redis.zrange(n.followed, 0, now, byscore=True, offset=0, num=BATCH_SIZE)
    if not calls:
        return
    with redis.pipeline(transaction=False) as pipe:
        for call in calls:
            pipe.hmget(n.call(call), "state", "task", "key", "options")
        found = dict(zip(calls, pipe.execute(), strict=True))
    later = {call: now for call, (state, *_) in found.items() if state not in ENDED}
    if later:
        redis.zadd(n.followed, later, xx=True)
    for call, (state, task, key, options) in found.items():
        if state in ENDED:
            yield _ended(redis, n, call, (str(state), str(task), str(key or "")), from_json(options))


def _ended(redis: Redis, n: Keys, call: str, which: tuple[str, str, str], options: Options) -> Ended:
    state, task, key = which
    if state != "done":
        return Ended(n.agent, call, task, key, state, options)
    result, flaw = redis.hmget(n.key(key), "result", "flaw")
    value = json.loads(result)["result"] if result else None
    return Ended(n.agent, call, task, key, state, options, value, flaw=flaw is not None)


def postpone(redis: Redis, of: Ended, ms: int) -> None:
    """Look again after a while: the followers cannot be started now."""
    redis.zadd(Keys(of.agent).followed, {of.call: now_ms(redis) + ms}, xx=True)


def let_go(redis: Redis, journal: Journal, of: Ended, effects: Sequence[str]) -> None:
    """Remove a call whose followers are registered or refused from the list. `effects` are the tasks that the journal records.

    A call that a person sent back meanwhile ends once more, so it is looked at again.
    """
    n = Keys(of.agent)
    with redis.pipeline(transaction=True) as pipe, suppress(WatchError):
        pipe.watch(n.call(of.call))
        if pipe.hget(n.call(of.call), "state") != of.state:
            return
        if of.task in effects:
            events.followed(journal, of.agent, of.key, of.call)
        pipe.multi()
        pipe.zrem(n.followed, of.call)
        pipe.execute()
