"""The history of one key: every event that was recorded, and its current state."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from redis import Redis

from state.agents.past import in_full, past
from state.decision import refusal_text
from state.formatting import iso
from state.key_version import version_of
from state.model import digest
from state.redis import client
from state.redis.keys import Keys

#: The fields of an event that hold a time.
_TIMES = frozenset({"at", "since", "until", "gives_up"})


def read_history(agents: list[str], key_or_call: str) -> dict[str, Any] | None:
    """Return the history of a key, or of the key of a call; None if no agent knows it.

    Args:
        agents: The agents to ask, in this order.
        key_or_call: The key or the call's id.

    """
    redis = client.client()
    for agent in agents:
        history = _of_key(redis, agent, key_or_call) or of_call(agent, key_or_call)
        if history:
            return history
    return None


def of_key(agent: str, key: str) -> dict[str, Any] | None:
    """Return the history of a key of this agent; None if it is unknown."""
    return _of_key(client.client(), agent, key)


def of_keys(keys: Sequence[tuple[str, str]]) -> list[dict[str, Any] | None]:
    """Return the histories of several keys, each given by its agent and its name; None for one that is not known.

    They take one round trip together, and one more for each that waits to be sent again. Raises StoreError.
    """
    redis = client.client()
    with redis.pipeline(transaction=False) as pipe:
        for agent, key in keys:
            _ask(pipe, agent, key)
        answers = pipe.execute()
    pairs = zip(keys, answers[::2], answers[1::2], strict=True)
    return [_told(redis, agent, key, record, story) for (agent, key), record, story in pairs]


def _of_key(redis: Redis, agent: str, key: str) -> dict[str, Any] | None:
    with redis.pipeline(transaction=True) as pipe:
        _ask(pipe, agent, key)
        record, story = pipe.execute()
    return _told(redis, agent, key, record, story)


def _ask(pipe: Any, agent: str, key: str) -> None:
    n = Keys(agent)
    pipe.hgetall(n.key(key)).lrange(n.history(key), 0, -1)


def _told(redis: Redis, agent: str, key: str, record: dict[str, str], story: list[str]) -> dict[str, Any] | None:
    n = Keys(agent)
    if not record:
        return None
    record = in_full(key, record)
    events = [*past(record), *map(json.loads, story)]
    return {
        "key": key,
        "agent": agent,
        "task": record.get("task"),
        "state": record["state"],
        "call": record.get("call"),
        "version": version_of(record),
        "attempts": int(record.get("attempts", 0)),
        "result": json.loads(record["result"])["result"] if "result" in record else None,
        "flaw": json.loads(record["flaw"]) if "flaw" in record else None,
        "why": record.get("why"),
        "payload": _json(record.get("payload") or record.get("proposal")),
        "approval": _approval(record),
        "waits": _wait(redis, n, record) if record["state"] == "waiting" else None,
        "story": [_dated(event) for event in _with_the_running_attempt(record, events)],
    }


def _approval(record: dict[str, str]) -> dict[str, Any] | None:
    """Return what a person is asked, or what was approved; None if nothing is open about that."""
    if "kind" not in record and "approved" not in record:
        return None
    return {
        "revision": int(record["revision"]),
        "digest": digest(record["proposal"]),
        "approved": "approved" in record,
        "asked_at": iso(record.get("asked_ms")),
        "expires": iso(record.get("expires_ms")),
    }


def _wait(redis: Redis, n: Keys, record: dict[str, str]) -> dict[str, Any] | None:
    """Return until when and why the key's call waits, and since when its service has been unavailable."""
    call = record.get("call", "")
    with redis.pipeline(transaction=True) as pipe:
        pipe.hmget(n.call(call), "answer", "waits_since_ms").zscore(n.waiting, call)
        (answer, since), until = pipe.execute()
    if until is None:
        return None
    return {"since": iso(since), "until": iso(until), "why": refusal_text(json.loads(answer)) if answer else None}


def _with_the_running_attempt(record: dict[str, str], events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add an event for the running attempt, whose own events are written when its effect starts or it settles."""
    fence = int(record.get("fence", 0))
    if record["state"] != "claimed" or any(event.get("fence") == fence for event in events):
        return events
    return [*events, {"at": int(record["started_ms"]), "event": "claimed", "fence": fence, "owner": record["owner"]}]


def of_call(agent: str, call: str) -> dict[str, Any] | None:
    """Return the history of a call's key, with the state and the answer of the call itself; None if it is unknown."""
    redis = client.client()
    record = redis.hgetall(Keys(agent).call(call))
    if not record:
        return None
    history = _of_key(redis, agent, record["key"]) if record.get("key") else None
    own = {
        "call": call,
        "state": record.get("state"),
        "door": record.get("door"),
        "answer": _json(record.get("answer")),
    }
    if "options" in record:
        own["options"] = _json(record["options"])
    if history is None:
        return {
            "key": record.get("key"),
            "agent": agent,
            "task": record.get("task"),
            "attempts": 0,
            "result": None,
            "story": [],
        } | own
    return history | own


def _json(text: str | None) -> Any:
    return json.loads(text) if text else None


def _dated(event: dict[str, Any]) -> dict[str, Any]:
    return {name: iso(value) if name in _TIMES else value for name, value in ({"at": event.pop("at")} | event).items()}
