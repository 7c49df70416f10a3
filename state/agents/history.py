"""The story of one key: every event that was told about it, and where it stands."""

from __future__ import annotations

import json
from typing import Any

from redis import Redis

from state.agents.snapshot import iso
from state.model import refusal_text
from state.redis import client
from state.redis.keys import Keys

#: What of an event is a time.
_TIMES = frozenset({"at", "since", "until", "gives_up"})


def read_history(agents: list[str], key_or_call: str) -> dict[str, Any] | None:
    """The story of a key, or of the key that a call asked for; None if no agent knows it."""
    redis = client.client()
    for agent in agents:
        told = _of_key(redis, agent, key_or_call) or of_call(agent, key_or_call)
        if told:
            return told
    return None


def _of_key(redis: Redis, agent: str, key: str) -> dict[str, Any] | None:
    n = Keys(agent)
    with redis.pipeline(transaction=True) as pipe:
        pipe.hgetall(n.key(key)).lrange(n.story(key), 0, -1)
        record, story = pipe.execute()
    if not record:
        return None
    return {
        "key": key,
        "agent": agent,
        "task": record.get("task"),
        "state": record["state"],
        "call": record.get("call"),
        "attempts": int(record.get("attempts", 0)),
        "result": json.loads(record["result"])["result"] if "result" in record else None,
        "flaw": json.loads(record["flaw"]) if "flaw" in record else None,
        "why": record.get("why"),
        "payload": json.loads(record["payload"]) if "payload" in record else None,
        "waits": _wait(redis, n, record) if record["state"] == "waiting" else None,
        "story": [_dated(event) for event in _with_the_running_attempt(record, [json.loads(text) for text in story])],
    }


def _wait(redis: Redis, n: Keys, record: dict[str, str]) -> dict[str, Any] | None:
    """Until when the key's call waits, why, and since when if its service has put it off."""
    call = record.get("call", "")
    with redis.pipeline(transaction=True) as pipe:
        pipe.hmget(n.call(call), "answer", "waits_since_ms").zscore(n.waiting, call)
        (answer, since), until = pipe.execute()
    if until is None:
        return None
    return {"since": iso(since), "until": iso(until), "why": refusal_text(json.loads(answer)) if answer else None}


def _with_the_running_attempt(record: dict[str, str], events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """An attempt writes its events when it crosses the line or settles; until then its claim tells of it."""
    fence = int(record.get("fence", 0))
    if record["state"] != "claimed" or any(event.get("fence") == fence for event in events):
        return events
    return [*events, {"at": int(record["started_ms"]), "event": "claimed", "fence": fence, "owner": record["owner"]}]


def of_call(agent: str, call: str) -> dict[str, Any] | None:
    """The story of the key that a call asked for, with the call's own state and answer."""
    redis = client.client()
    record = redis.hgetall(Keys(agent).call(call))
    if not record:
        return None
    told = _of_key(redis, agent, record["key"]) if record.get("key") else None
    own = {"call": call, "state": record["state"], "door": record.get("door"), "answer": _json(record.get("answer"))}
    if "options" in record:
        own["options"] = _json(record["options"])
    if told is None:
        return {
            "key": record.get("key"),
            "agent": agent,
            "task": record.get("task"),
            "attempts": 0,
            "result": None,
            "story": [],
        } | own
    return told | own


def _json(text: str | None) -> Any:
    return json.loads(text) if text else None


def _dated(event: dict[str, Any]) -> dict[str, Any]:
    return {name: iso(value) if name in _TIMES else value for name, value in ({"at": event.pop("at")} | event).items()}
