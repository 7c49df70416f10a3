"""Merges what a state file knows into a Redis that lost it: facts, counters, errors, a pause, keys in doubt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from redis import Redis

from state import redis_format
from state.agents import facts, pause, state_file
from state.agents.snapshot import HEAD_FIELDS
from state.constants import MAX_ERRORS
from state.formatting import from_iso
from state.redis.keys import Keys

#: Times of a state file, and the fields in which Redis keeps them.
_TIMES = {"updated_at": "updated_ms", "last_run": "last_run_ms"}
#: `act` is what an agent does anyhow.
RESTRICTED = frozenset({"observe", "ask"})


class RestoreError(Exception):
    """Raised when a state file cannot be read."""


def lost_agents(redis: Redis) -> list[str]:
    """Return the agents that have a state file, and of which Redis knows nothing."""
    return [agent for agent in state_file.agents() if not redis.hexists(Keys(agent).agent_meta, "revision")]


def check(redis: Redis) -> None:
    """Read every state file, without a change to Redis. Raises RestoreError."""
    for agent in state_file.agents():
        with redis.pipeline() as pipe:
            _queue_merge(redis, pipe, agent, lost_all=True)


def merge(redis: Redis, agent: str, *, lost_all: bool) -> bool:
    """Add what the newest state file of an agent knows to a Redis that fell behind it.

    A copy that was set aside is renamed afterwards, so that it is not merged twice.

    Args:
        redis: The connection.
        agent: Whose state file.
        lost_all: Redis began anew, so what it holds is newer and counts on top; otherwise it fell back to an older state.

    Returns:
        False if no state file knows more than Redis.

    Raises:
        RestoreError: A state file cannot be read.

    """
    with redis.pipeline(transaction=True) as pipe:
        file = _queue_merge(redis, pipe, agent, lost_all=lost_all)
        if file is None:
            return False
        if _read(agent, file).get("autonomy") in RESTRICTED:
            redis_format.raise_to(redis, redis_format.AUTONOMY)
        pipe.execute()
    if file != state_file.path(agent):
        file.rename(file.with_name(f"{file.name}.read"))
    return True


def _queue_merge(redis: Redis, pipe: Any, agent: str, *, lost_all: bool) -> Path | None:
    """Queue the commands of a merge; return the file that knows more, if any."""
    file = _newest(agent, int(redis.hget(Keys(agent).agent_meta, "revision") or 0))
    if file is None:
        return None
    document = _read(agent, file)
    try:
        _queue_head(redis, pipe, Keys(agent), document, lost_all=lost_all)
        _queue_facts(pipe, Keys(agent), document, keep=lost_all)
        for entry in document.get("held", []):
            if not redis.exists(Keys(agent).key(entry["key"])):
                _queue_held(pipe, Keys(agent), entry)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise _unreadable(file, error) from None
    return file


def _newest(agent: str, revision: int) -> Path | None:
    """Return the file that knows what Redis lost: the state file if it is ahead, else the newest copy that was set aside."""
    current = state_file.path(agent)
    revisions = {file: _read(agent, file)["revision"] for file in state_file.files(agent)}
    if revisions.get(current, 0) <= revision:
        revisions.pop(current, None)
    return max(revisions, key=lambda file: revisions[file], default=None)


def _read(agent: str, file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text())
        if not isinstance(document, dict) or document.get("agent") != agent:
            raise ValueError(f"it is not the state of {agent}")
        return {**document, "revision": int(document["revision"])}
    except (LookupError, OSError, TypeError, ValueError) as error:
        raise _unreadable(file, error) from None


def _unreadable(file: Path, error: Exception) -> RestoreError:
    return RestoreError(f"{file} cannot be read: {error!r}; repair or remove it")


def _queue_head(redis: Redis, pipe: Any, n: Keys, document: dict[str, Any], *, lost_all: bool) -> None:
    pipe.hincrby(n.agent_meta, "revision", document["revision"] + 1)
    pipe.hincrby(n.agent_meta, "fence", document["revision"])
    for name, field in _TIMES.items():
        if document.get(name):
            pipe.hsetnx(n.agent_meta, field, from_iso(document[name]))
    if document.get("pause"):
        pipe.hsetnx(n.agent_meta, "pause", pause.stored(document["pause"]))
    if document.get("autonomy") in RESTRICTED:
        pipe.hsetnx(n.agent_meta, "autonomy", document["autonomy"])
    for name, total in document.get("metrics", {}).items():
        before = 0 if lost_all else int(redis.hget(n.metrics, name) or 0)
        pipe.hincrby(n.metrics, name, max(total - before, 0))
    if lost_all:
        for error in document.get("errors", []):
            times = {name: from_iso(error[name]) for name in ("at", "since", "until") if name in error}
            pipe.rpush(n.errors, json.dumps({**error, **times}))
        pipe.ltrim(n.errors, 0, MAX_ERRORS - 1)


def _queue_held(pipe: Any, n: Keys, entry: dict[str, Any]) -> None:
    """Put a key in doubt again that was in doubt: it must not run because Redis forgot it."""
    since = from_iso(entry["since"])
    kept = {name: entry[name] for name in ("key", "state", "why")}  # what was asked is in the journal, if anywhere
    pipe.hset(n.held, entry["key"], json.dumps({**kept, "since": since}))
    pipe.hset(n.key(entry["key"]), mapping={"state": entry["state"], "why": entry["why"], "since_ms": since})


def _queue_facts(pipe: Any, n: Keys, document: dict[str, Any], *, keep: bool) -> None:
    """Write the facts; with `keep`, only those that Redis does not have."""
    write = pipe.hsetnx if keep else pipe.hset
    collections: dict[str, int] = document.get("collections", {})
    tree = {name: value for name, value in document.items() if name not in HEAD_FIELDS}
    for path, value in facts.flat(tree, collections).items():
        write(n.facts, path, value)
        name = json.loads(path)[0]
        if name in collections:
            pipe.zadd(n.collection(name), {path: 0}, nx=True)
