"""The whole state of one agent at one moment: its status (paused, errors, held, last run), its metrics and its facts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from state.agents import autonomy, facts, pause
from state.agents.held import HeldPage, page_of, queue_page
from state.formatting import iso
from state.redis import client
from state.redis.keys import Keys

#: The fields of every state file; an agent's facts take other names.
HEAD_FIELDS = frozenset(
    {
        "agent",
        "revision",
        "updated_at",
        "last_run",
        "errors",
        "metrics",
        "paused",
        "pause",
        "autonomy",
        "held",
        "held_total",
        "collections",
        "written_by",
    }
)
#: Keys that wait, of which the state file names the oldest; `held_total` says how many wait.
MAX_HELD = 100


@dataclass(frozen=True)
class Snapshot:
    """The agent's whole state at one moment."""

    revision: int
    head: dict[str, Any]
    facts: dict[str, Any]
    collections: dict[str, int]  #: collection → levels of names below it, for `gate recover`

    def document(self) -> dict[str, Any]:
        """Return the contents of the state file, with the facts between the first and the last fields of the head."""
        first = {name: self.head[name] for name in ("agent", "revision", "updated_at")}
        return {**first, **self.facts, **self.head, "collections": self.collections}


def snapshot(agent: str) -> Snapshot:
    """Read the agent's state in one transaction, so that its parts are consistent."""
    n = Keys(agent)
    with client.client().pipeline(transaction=True) as pipe:
        pipe.hgetall(n.agent_meta).hgetall(n.metrics).lrange(n.errors, 0, -1).hgetall(n.facts)
        queue_page(pipe, agent, MAX_HELD)
        head, metrics, errors, flat, waiting = pipe.execute()
    described = _head(agent, head, metrics, errors, page_of(waiting))
    return Snapshot(described["revision"], described, facts.nested(flat), facts.depths(flat))


def revisions(agents: list[str]) -> dict[str, int]:
    """Return the revision of each agent; 0 for an agent that has no state yet."""
    found = client.hash_fields(client.client(), [Keys(agent).agent_meta for agent in agents], "revision")
    return {agent: int(number or 0) for agent, [number] in zip(agents, found, strict=True)}


def _head(
    agent: str, head: dict[str, str], metrics: dict[str, str], errors: list[str], held: HeldPage
) -> dict[str, Any]:
    return {
        "agent": agent,
        "revision": int(head.get("revision", 0)),
        "updated_at": iso(head.get("updated_ms")),
        "last_run": iso(head.get("last_run_ms")),
        "errors": [_dated(json.loads(error), "at", "since", "until") for error in errors],
        "metrics": {"total_done": 0, "total_failed": 0}
        | {name: int(total) for name, total in sorted(metrics.items()) if " " not in name},
        "paused": "pause" in head,
        "pause": pause.described(head.get("pause")),
        "autonomy": autonomy.of_head(agent, head.get("autonomy")),
        "held": [_dated(entry, "since", "expires") for entry in held.entries],
        "held_total": held.total,
    }


def _dated(record: dict[str, Any], *names: str) -> dict[str, Any]:
    return {**record, **{name: iso(record[name]) for name in names if name in record}}
