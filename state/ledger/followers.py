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

from redis.exceptions import WatchError

from state.journal import events
from state.ledger.stores import Stores
from state.model import ENDED
from state.options import Options, from_json
from state.redis.client import hash_fields, now_ms
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


class Followers(Stores):
    """The calls that others follow, as a sweeper looks after them."""

    def ended(self, agent: str) -> Iterator[Ended]:
        """Yield the ended calls of an agent that other calls follow; the next sweep checks the others again."""
        n = Keys(agent)
        now = now_ms(self.redis)
        calls = self.redis.zrange(n.followed, 0, now, byscore=True, offset=0, num=BATCH_SIZE)
        kept = hash_fields(self.redis, map(n.call, calls), "state", "task", "key", "options")
        found = dict(zip(calls, kept, strict=True))
        if later := {call: now for call, (state, *_) in found.items() if state not in ENDED}:
            self.redis.zadd(n.followed, later, xx=True)
        for call, (state, task, key, options) in found.items():
            if state in ENDED:
                yield Ended(
                    agent, call, str(task), str(key or ""), str(state), from_json(options), *self._result(n, state, key)
                )

    def _result(self, n: Keys, state: str, key: str) -> tuple[Any, bool]:
        """Return what a call gave that is done, and whether it is flawed."""
        result, flaw = self.redis.hmget(n.key(key), "result", "flaw") if state == "done" else (None, None)
        return json.loads(result)["result"] if result else None, flaw is not None

    def postpone_followers(self, of: Ended, ms: int) -> None:
        """Look again after a while: the followers cannot be started now."""
        self.redis.zadd(Keys(of.agent).followed, {of.call: now_ms(self.redis) + ms}, xx=True)

    def let_go(self, of: Ended, effects: Sequence[str]) -> None:
        """Remove a call whose followers are registered or refused from the list. `effects` are the tasks that the journal records.

        A call that a person sent back meanwhile ends once more, so it is looked at again.
        """
        n = Keys(of.agent)
        with self.redis.pipeline(transaction=True) as pipe, suppress(WatchError):
            pipe.watch(n.call(of.call))
            if pipe.hget(n.call(of.call), "state") != of.state:
                return
            if of.task in effects:
                events.followed(self.journal, of.agent, of.key, of.call)
            pipe.multi()
            pipe.zrem(n.followed, of.call)
            pipe.execute()
