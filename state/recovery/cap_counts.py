"""The effects of the journal that count for the caps of their tasks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from redis import Redis

from state.recovery.rebuilt_key import RebuiltKey
from state.redis.client import now_ms

#: Returns the caps that count an effect of this task and these arguments: names in Redis and windows in ms.
CapsOf = Callable[[str, Mapping[str, Any]], list[tuple[str, int]]]


class CapCounts:
    """The caps in Redis.

    Args:
        redis: The connection.
        caps_of: Returns the caps that count an effect.

    """

    def __init__(self, redis: Redis, caps_of: CapsOf) -> None:
        self._redis, self._caps_of, self._now_ms = redis, caps_of, now_ms(redis)
        self._windows: dict[str, int] = {}

    def count(self, keys: Iterable[RebuiltKey]) -> None:
        """Count each effect that happened, or may have, for its caps, as long as their windows last."""
        with self._redis.pipeline(transaction=False) as pipe:
            for key in keys:
                if key.state not in {"done", "unknown"} or key.ended_ms + self._window(key) < self._now_ms:
                    continue
                caps = self._caps_of(key.asked["task"], key.asked["kwargs"])
                for name, window_ms in caps:
                    pipe.zadd(name, {key.key: key.ended_ms}).pexpire(name, 2 * window_ms)
                if caps:
                    self._windows[key.asked["task"]] = max(window_ms for _, window_ms in caps)
            pipe.execute()

    def _window(self, key: RebuiltKey) -> float:
        """Return the longest time (ms) for which effects of the key's task count; unlimited for the task's first key."""
        return self._windows.get(key.asked["task"], math.inf)
