"""The pause of an agent: why its calls may not start. A person pauses the whole agent, a cap only the calls that it counts.

The record has the first reason, and in `also` each later one that stops more than the reasons before it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from redis.client import Pipeline

from state.agents.audit import Said, noted
from state.formatting import from_iso, iso
from state.redis import client
from state.redis.client import now_ms
from state.redis.keys import Keys

#: The fields of a reason. A cap names its `task` for people, and its key in Redis, which stops the calls that it counts.
_FIELDS = ("at", "by", "why", "task", "cap")

Reason = dict[str, Any]


def pause(agent: str, by: str, why: str, said: Said | None = None) -> bool:
    """Stop the agent's calls from starting until `resume`; the pause survives restarts.

    Args:
        agent: The agent.
        by: Who pauses it.
        why: The reason, for people.
        said: The decision, to be noted with the pause.

    Returns:
        False if the whole agent was paused already; the first reason stays.

    """
    redis, n = client.client(), Keys(agent)
    at = now_ms(redis)
    reason = {"at": at, "by": by, "why": why}

    def write(pipe: Pipeline) -> bool:
        stored = pipe.hget(n.agent_meta, "pause")
        pipe.multi()
        first = json.loads(stored) if stored else None
        if any("cap" not in each for each in reasons(first)):
            return False
        record = reason if first is None else first | {"also": [*first.get("also", ()), reason]}
        pipe.hset(n.agent_meta, mapping={"pause": json.dumps(record), "updated_ms": at})
        pipe.hincrby(n.agent_meta, "revision", 1)
        if said:
            noted(pipe, agent, said, at, "running", "paused")
        return True

    return bool(redis.transaction(write, n.agent_meta, value_from_callable=True))


def resume(agent: str, said: Said | None = None) -> bool:
    """Lift a pause, and reset the caps that caused it.

    Args:
        agent: The agent.
        said: The decision, to be noted with the change.

    Returns:
        False if the agent was not paused.

    """
    redis, n = client.client(), Keys(agent)
    at = now_ms(redis)

    def write(pipe: Pipeline) -> bool:
        stored = pipe.hget(n.agent_meta, "pause")
        pipe.multi()
        if not stored:
            return False
        pipe.hdel(n.agent_meta, "pause").hincrby(n.agent_meta, "revision", 1).hset(n.agent_meta, "updated_ms", at)
        for reason in reasons(json.loads(stored)):
            if "cap" in reason:
                pipe.delete(reason["cap"])
        if said:
            noted(pipe, agent, said, at, "paused", "running")
        return True

    return bool(redis.transaction(write, n.agent_meta, value_from_callable=True))


def reasons(first: Reason | None) -> Iterator[Reason]:
    """Yield every reason of a pause, the first one first; none if the agent is not paused."""
    if first:
        yield first
        yield from first.get("also", ())


def of_task(first: Reason | None, task: str) -> Reason | None:
    """Return the first reason for which calls of this task may not start, or None."""
    return next((reason for reason in reasons(first) if reason.get("task") in {None, task}), None)


def described(stored: str | None) -> Reason | None:
    """Return a pause as the state file has it, from what Redis has."""
    told = [
        {name: each[name] for name in _FIELDS if name in each} | {"at": iso(each["at"])}
        for each in reasons(json.loads(stored) if stored else None)
    ]
    return told[0] | ({"also": told[1:]} if told[1:] else {}) if told else None


def stored(described: Reason) -> str:
    """Return a pause as Redis has it, from what the state file has; the reverse of `described`."""
    first, *others = ({**each, "at": from_iso(each["at"])} for each in reasons(described))
    return json.dumps(first | {"also": others} if others else first)
