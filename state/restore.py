"""From the mirrors back into an empty Redis, when Redis lost its data and no backup of its own is left."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from redis import Redis

from state import facts, mirror
from state.agent import HEAD_FIELDS
from state.names import Names


class RestoreError(Exception):
    """Raised when restoring would overwrite something, or a mirror cannot be read."""


def restore(redis: Redis, agents: list[str]) -> list[str]:
    """Load every agent's mirror; answers whose. Nothing is written unless all of them can be."""
    living = [agent for agent in agents if redis.exists(Names(agent).head)]
    if living:
        raise RestoreError(f"Redis holds living state of {', '.join(living)}; restore only into an empty Redis")
    documents = {agent: _read(agent) for agent in agents if mirror.path(agent).exists()}
    with redis.pipeline(transaction=True) as pipe:
        for agent, document in documents.items():
            try:
                _write(pipe, Names(agent), document)
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                raise _unreadable(mirror.path(agent), error) from None
        pipe.execute()
    return list(documents)


def _read(agent: str) -> dict[str, Any]:
    file = mirror.path(agent)
    try:
        document = json.loads(file.read_text())
        if not isinstance(document, dict) or document.get("agent") != agent:
            raise ValueError(f"it is not the state of {agent}")
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from None
    return document


def _unreadable(file: Path, error: Exception) -> RestoreError:
    return RestoreError(f"{file} cannot be read: {error!r}; repair or remove it")


def _write(pipe: Any, n: Names, document: dict[str, Any]) -> None:
    head: dict[str, Any] = {"revision": int(document.get("revision", 0)) + 1, "fence": int(document.get("revision", 0))}
    head |= {to: _ms(document[name]) for name, to in _TIMES.items() if document.get(name)}
    if document.get("pause"):
        head["pause"] = json.dumps({**document["pause"], "at": _ms(document["pause"]["at"])})
    pipe.hset(n.head, mapping=head)
    if document.get("metrics"):
        pipe.hset(n.metrics, mapping=document["metrics"])
    for error in document.get("errors", []):
        pipe.rpush(n.errors, json.dumps({**error, "at": _ms(error["at"])}))
    for entry in document.get("held", []):
        _write_held(pipe, n, entry)
    _write_facts(pipe, n, document)


_TIMES = {"updated_at": "updated_ms", "last_run": "last_run_ms"}


def _write_held(pipe: Any, n: Names, entry: dict[str, Any]) -> None:
    """A key that was in doubt is in doubt again: it must not run because Redis forgot it."""
    since = _ms(entry["since"])
    pipe.hset(n.held, entry["key"], json.dumps({**entry, "since": since}))
    pipe.hset(n.key(entry["key"]), mapping={"state": entry["state"], "why": entry["why"], "since_ms": since})


def _write_facts(pipe: Any, n: Names, document: dict[str, Any]) -> None:
    collections: dict[str, int] = document.get("collections", {})
    tree = {name: value for name, value in document.items() if name not in HEAD_FIELDS}
    for path, value in facts.flat(tree, collections).items():
        pipe.hset(n.facts, path, value)
        name = json.loads(path)[0]
        if name in collections:
            pipe.zadd(n.collection(name), {path: 0})


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
