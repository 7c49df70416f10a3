"""Looks at every key, again and again, from outside: when did it come to an end, and how long after the fault."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

import redis

from state.redis.keys import Keys
from tests.torture.producer import AGENT

#: Seconds between two looks; the finest difference that a recovery time can show.
EVERY = 0.2
#: Where a key is at rest. What can be looked up does not rest in doubt.
AT_REST = frozenset({"done", "rejected", "cancelled", "unknown", "held"})
LOOKED_UP = frozenset({"sure", "steps"})

Standings = dict[str, str | None]


def standings(client: redis.Redis, keys: list[str]) -> Standings:
    """Where each key stands according to Redis; None for one that is not there."""
    names = Keys(AGENT)
    with client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.hget(names.key(key), "state")
        return dict(zip(keys, pipe.execute(), strict=True))


def about(client: redis.Redis, key: str) -> dict[str, object]:
    """All that Redis knows of a key, for who wants to know why it is red."""
    names = Keys(AGENT)
    kept = client.hgetall(names.key(key))
    call = str(kept.get("call"))
    places = {zset: client.zscore(zset, call) for zset in (names.queued, names.waiting)}
    return {
        "key": kept,
        "call": client.hgetall(names.call(call)),
        "story": client.lrange(names.history(key), 0, -1),
        "places": {**places, names.running: client.zscore(names.running, key)},
        "ledger": client.hmget(names.ledger, "epoch", "fence", "closed", f"sent:{key}"),
    }


def is_at_rest(task: str, state: str | None) -> bool:
    """Whether nothing more will happen to a key by itself."""
    return state in AT_REST and not (state == "unknown" and task in LOOKED_UP)


class Watch:
    """`recoveries` has, for each key that was open when a fault ended, the seconds until it came to rest."""

    def __init__(self, client: redis.Redis, asked: Callable[[], dict[str, str]]) -> None:
        self.client = client
        self.resting: dict[str, float] = {}
        self.recoveries: dict[str, float] = {}
        self._asked = asked
        self._hurt: dict[str, float] = {}
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def mark(self) -> None:
        """A fault ends now; every key that is not at rest has been hurt by it."""
        with self._lock:
            now = time.monotonic()
            for key in self.resting:
                self._hurt.pop(key, None)
            self._hurt |= dict.fromkeys((key for key in self._asked() if key not in self.resting), now)

    def look(self) -> list[str]:
        """Look at all open keys once; answers those that are not at rest."""
        asked = dict(self._asked())
        with self._lock:
            for key, state in standings(self.client, [key for key in asked if key not in self.resting]).items():
                if is_at_rest(asked[key], state):
                    self._rest(key)
            return [key for key in asked if key not in self.resting]

    def all_rest(self) -> bool:
        """Whether every key is at rest now: what was doubtful may have been freed and have begun to move again."""
        if self.look():
            return False
        asked = dict(self._asked())
        with self._lock:
            found = standings(self.client, list(asked))
            for key in (key for key, state in found.items() if not is_at_rest(asked[key], state)):
                del self.resting[key]
            return set(asked) <= set(self.resting)

    def close(self) -> None:
        self._over.set()
        self._thread.join(10)

    def _rest(self, key: str) -> None:
        self.resting[key] = time.monotonic()
        if key in self._hurt:
            self.recoveries[key] = self.resting[key] - self._hurt[key]

    def _run(self) -> None:
        while not self._over.wait(EVERY):
            with contextlib.suppress(redis.RedisError, OSError, ValueError):  # it is away, as it should be just now
                self.look()
