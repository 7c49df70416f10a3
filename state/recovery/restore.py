"""From the mirrors back into an empty Redis, when Redis lost its data and no backup of its own is left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from redis import Redis

from state.agents import facts, state_file
from state.agents.snapshot import HEAD_FIELDS
from state.constants import MAX_ERRORS
from state.model import from_iso
from state.redis.keys import Keys


class RestoreError(Exception):
    """Raised when restoring would overwrite something, or a mirror cannot be read."""


def restore(redis: Redis, agents: list[str]) -> list[str]:
    """Load every agent's mirror; answers whose. Nothing is written unless all of them can be."""
    living = [agent for agent in agents if redis.exists(Keys(agent).agent_meta)]
    if living:
        raise RestoreError(
            f"Redis holds living state of {', '.join(living)}; restore only into an empty Redis; "
            "to rebuild what it lost from the journal: celery -A workers gate recover"
        )
    documents = {agent: _read(agent, state_file.path(agent)) for agent in agents if state_file.path(agent).exists()}
    with redis.pipeline(transaction=True) as pipe:
        for agent, document in documents.items():
            try:
                _write(pipe, Keys(agent), document)
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                raise _unreadable(state_file.path(agent), error) from None
        pipe.execute()
    return list(documents)


def merge(redis: Redis, agent: str, *, lost_all: bool) -> bool:
    """Add what the newest state file of the agent knows to a Redis that fell behind it; False if none knows more.

    `lost_all`: Redis began anew, so what it holds is newer and counts on top; otherwise it fell back to an older state.
    A copy that the mirror set aside is marked as read. Raises RestoreError for a file that cannot be read.
    """
    n = Keys(agent)
    revision = int(redis.hget(n.agent_meta, "revision") or 0)
    file = _newest(agent, revision)
    if file is None:
        return False
    document = _read(agent, file)
    with redis.pipeline(transaction=True) as pipe:
        pipe.hincrby(n.agent_meta, "revision", int(document["revision"]) + 1)
        pipe.hincrby(n.agent_meta, "fence", int(document["revision"]))
        if document.get("pause"):
            pipe.hsetnx(n.agent_meta, "pause", _pause(document))
        for name, total in document.get("metrics", {}).items():
            before = 0 if lost_all else int(redis.hget(n.metrics, name) or 0)
            pipe.hincrby(n.metrics, name, max(total - before, 0))
        if lost_all:
            for error in document.get("errors", []):
                pipe.rpush(n.errors, _error(error))
            pipe.ltrim(n.errors, 0, MAX_ERRORS - 1)
        _write_facts(pipe, n, document, keep=lost_all)
        for entry in document.get("held", []):
            if not redis.exists(n.key(entry["key"])):
                _write_held(pipe, n, entry)
        pipe.execute()
    if file != state_file.path(agent):
        file.rename(file.with_name(f"{file.name}.read"))
    return True


def _newest(agent: str, revision: int) -> Path | None:
    """The file that knows what Redis lost: the state file if it is ahead, else the newest copy that was set aside."""
    current = state_file.path(agent)
    known = {file: int(_read(agent, file).get("revision", 0)) for file in state_file.files(agent)}
    if known.get(current, 0) <= revision:
        known.pop(current, None)
    return max(known, key=lambda file: known[file], default=None)


def _read(agent: str, file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text())
        if not isinstance(document, dict) or document.get("agent") != agent:
            raise ValueError(f"it is not the state of {agent}")
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from None
    return document


def _unreadable(file: Path, error: Exception) -> RestoreError:
    return RestoreError(f"{file} cannot be read: {error!r}; repair or remove it")


def _write(pipe: Any, n: Keys, document: dict[str, Any]) -> None:
    head: dict[str, Any] = {"revision": int(document.get("revision", 0)) + 1, "fence": int(document.get("revision", 0))}
    head |= {to: from_iso(document[name]) for name, to in _TIMES.items() if document.get(name)}
    if document.get("pause"):
        head["pause"] = _pause(document)
    pipe.hset(n.agent_meta, mapping=head)
    if document.get("metrics"):
        pipe.hset(n.metrics, mapping=document["metrics"])
    for error in document.get("errors", []):
        pipe.rpush(n.errors, _error(error))
    for entry in document.get("held", []):
        _write_held(pipe, n, entry)
    _write_facts(pipe, n, document)


def _pause(document: dict[str, Any]) -> str:
    return json.dumps({**document["pause"], "at": from_iso(document["pause"]["at"])})


def _error(error: dict[str, Any]) -> str:
    times = {name: from_iso(error[name]) for name in ("at", "since", "until") if name in error}
    return json.dumps({**error, **times})


_TIMES = {"updated_at": "updated_ms", "last_run": "last_run_ms"}


def _write_held(pipe: Any, n: Keys, entry: dict[str, Any]) -> None:
    """A key that was in doubt is in doubt again: it must not run because Redis forgot it."""
    since = from_iso(entry["since"])
    pipe.hset(n.held, entry["key"], json.dumps({**entry, "since": since}))
    pipe.hset(n.key(entry["key"]), mapping={"state": entry["state"], "why": entry["why"], "since_ms": since})


def _write_facts(pipe: Any, n: Keys, document: dict[str, Any], *, keep: bool = False) -> None:
    """Write the facts; with `keep`, only those that Redis does not have."""
    write = pipe.hsetnx if keep else pipe.hset
    collections: dict[str, int] = document.get("collections", {})
    tree = {name: value for name, value in document.items() if name not in HEAD_FIELDS}
    for path, value in facts.flat(tree, collections).items():
        write(n.facts, path, value)
        name = json.loads(path)[0]
        if name in collections:
            pipe.zadd(n.collection(name), {path: 0}, nx=True)
