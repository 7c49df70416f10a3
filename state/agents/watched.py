"""Everything of all agents that may need a person, in one round trip: pauses, open breakers, and the keys that wait."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from state.agents import pause
from state.redis import client
from state.redis.keys import Keys

#: Keys of one agent that are read one by one; of more, only how many there are is told.
MAX_HELD = 100


@dataclass(frozen=True)
class Watched:
    """One agent at one moment. Each waiting key is its record: key, state, since (ms), why, attempts, looks, …"""

    agent: str
    pauses: Sequence[pause.Reason]  #: as Redis has them: times in ms since 1970
    breakers: Sequence[Mapping[str, Any]]  #: name, since and until (ms), cooldown_ms, failures, task
    held: Sequence[Mapping[str, Any]]  #: the oldest first
    count: int  #: of all waiting keys


def read(agents: Sequence[str]) -> list[Watched]:
    """Return what may need a person, of each agent; raises StoreError."""
    redis = client.client()
    with redis.pipeline(transaction=False) as pipe:
        for agent in agents:
            n = Keys(agent)
            pipe.hget(n.agent_meta, "pause").hgetall(n.breakers).hlen(n.held)
        flat = pipe.execute()
    found = []
    for agent, (paused, breakers, count) in zip(
        agents, zip(flat[::3], flat[1::3], flat[2::3], strict=True), strict=True
    ):
        reasons = list(pause.reasons(json.loads(paused) if paused else None))
        opened = [{"name": name, **json.loads(text)} for name, text in breakers.items()]
        found.append(Watched(agent, reasons, opened, _held(agent) if 0 < count <= MAX_HELD else [], int(count)))
    return found


def _held(agent: str) -> list[Mapping[str, Any]]:
    """Return the waiting keys with how often they were tried and looked up, and how they can be (`verify`)."""
    n, redis = Keys(agent), client.client()
    records: list[dict[str, Any]] = [json.loads(text) for text in redis.hvals(n.held)]
    tries = client.hash_fields(redis, [n.key(str(record["key"])) for record in records], "attempts", "looks", "verify")
    for record, (attempts, looks, verify) in zip(records, tries, strict=True):
        record |= {"attempts": int(attempts or 0), "looks": int(looks or 0), "verify": verify or ""}
    return sorted(records, key=lambda record: int(record["since"]))
