"""An agent's facts: what its tasks remember, stored as JSON values under JSON paths, small and readable."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from redis import Redis

from state.model import FactChange
from state.redis import client
from state.redis.keys import Keys

#: Entries that a collection keeps: weeks of work, and still small enough to read and write as a whole.
MAX_ENTRIES = 200


def read(agent: str, path: tuple[str, ...]) -> Any:
    """Return the fact at `path`, or None."""
    text = client.client().hget(Keys(agent).facts, _path(path))
    return None if text is None else json.loads(str(text))


def rows(changes: Iterable[FactChange], collections: Sequence[str]) -> list[list[str | int | None]]:
    """Return changes as settle.lua reads them: [path, value, number of the collection or 0, how many it keeps]."""
    return [
        [_path(each.path), each.value, collections.index(each.collection) + 1 if each.collection else 0, MAX_ENTRIES]
        for each in changes
    ]


def remember(pipe: Any, agent: str, path: Sequence[str], value: str | None, collection: str, at_ms: int) -> None:
    """Add to a pipeline a fact that the journal has of a past attempt; one that Redis has is newer and stays.

    Args:
        pipe: A pipeline of redis-py.
        agent: The agent.
        path: The path of the fact.
        value: JSON text; None for a fact that was removed.
        collection: The collection that the fact is an entry of, or "".
        at_ms: When the attempt settled, in milliseconds since 1970; a collection keeps its newest entries.

    """
    n, name = Keys(agent), _path(tuple(path))
    if value is not None:
        pipe.hsetnx(n.facts, name, value)
        if collection:
            pipe.zadd(n.collection(collection), {name: at_ms}, nx=True)


def trim(redis: Redis, agent: str, collection: str) -> None:
    """Remove the oldest entries of a collection that has more than MAX_ENTRIES."""
    n = Keys(agent)
    excess = redis.zcard(n.collection(collection)) - MAX_ENTRIES
    if excess > 0:
        redis.hdel(n.facts, *(path for path, _ in redis.zpopmin(n.collection(collection), excess)))


def nested(flat: dict[str, str]) -> dict[str, Any]:
    """Return the facts as one tree.

    `{'["published","hello","feed"]': '{…}'}` becomes `{"published": {"hello": {"feed": {…}}}}`.
    """
    tree: dict[str, Any] = {}
    for path, value in sorted(flat.items()):
        *parents, last = json.loads(path)
        branch = tree
        for name in parents:
            branch = branch.setdefault(name, {})
        branch[last] = json.loads(value)
    return tree


def depths(flat: Iterable[str]) -> dict[str, int]:
    """Return how many levels of names lie below each collection's name."""
    paths = (json.loads(path) for path in flat)
    return {path[0]: len(path) - 1 for path in paths if len(path) > 1}


def flat(tree: dict[str, Any], depth: dict[str, int]) -> dict[str, str]:
    """Return a tree as flat facts, the reverse of `nested`; `depth` has the levels of names below each collection's."""
    rows: dict[str, str] = {}

    def walk(path: tuple[str, ...], value: Any, levels: int) -> None:
        if levels and isinstance(value, dict):
            for name, inner in value.items():
                walk((*path, name), inner, levels - 1)
        else:
            rows[_path(path)] = json.dumps(value, ensure_ascii=False)

    for name, value in tree.items():
        walk((name,), value, depth.get(name, 0))
    return rows


def _path(path: tuple[str, ...]) -> str:
    return json.dumps(path, ensure_ascii=False, separators=(",", ":"))
