"""The facts that attempts remembered, as their outcomes in the journal have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis import Redis

from state.agents import facts


class RememberedFacts:
    """The newest fact of each path, and the newest entries of each collection."""

    def __init__(self) -> None:
        #: By agent and collection: the time (ms) and the value of each path.
        self._kept: dict[tuple[str, str], dict[tuple[str, ...], tuple[int, str | None]]] = {}

    def add(self, agent: str, changes: Sequence[Any], at_ms: int) -> None:
        """Add what one attempt remembered: rows of path, JSON value and collection, and when it ended, in ms."""
        for names, value, collection in changes:
            kept, path = self._kept.setdefault((agent, collection), {}), tuple(names)
            if path not in kept or kept[path][0] <= at_ms:
                kept[path] = at_ms, value
            if collection and len(kept) > 2 * facts.MAX_ENTRIES:
                newest = sorted(kept.items(), key=lambda item: item[1][0])[-facts.MAX_ENTRIES :]
                self._kept[agent, collection] = dict(newest)

    def write(self, redis: Redis) -> None:
        """Write the facts, but keep those that Redis holds of the same paths: they are newer."""
        for (agent, collection), kept in self._kept.items():
            with redis.pipeline(transaction=False) as pipe:
                for path, (at_ms, value) in kept.items():
                    facts.remember(pipe, agent, path, value, collection, at_ms)
                pipe.execute()
            if collection:
                facts.trim(redis, agent, collection)
