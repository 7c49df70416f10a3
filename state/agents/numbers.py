"""The numbers of all agents at one moment, for `/metrics`: one round trip, however many keys there are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from state.agents import measures, pause
from state.agents.measures import Measures
from state.redis import client
from state.redis.keys import Keys


@dataclass(frozen=True)
class Numbers:
    """The numbers of one agent; times are milliseconds since 1970 by the server's clock."""

    agent: str
    revision: int
    updated_ms: int  #: 0 if it never changed
    last_run_ms: int  #: 0 if it never ran
    paused_by: frozenset[str]  #: `person` or `cap`
    totals: Mapping[str, int]  #: the counters of its state file
    measures: Measures
    open: Mapping[str, int]  #: calls by state: queued, waiting, claimed; and `dead`, that ended without a result
    held: Mapping[str, int]  #: keys that wait: `unknown`, `held` or `approval`
    oldest_held_ms: Mapping[str, int]  #: since when the oldest of them waits, likewise
    breakers: Sequence[tuple[str, int]]  #: task of each open breaker, and since when it is open


def read(agents: Sequence[str]) -> list[Numbers]:
    """Return the numbers of these agents; raises StoreError."""
    with client.client().pipeline(transaction=False) as pipe:
        for n in map(Keys, agents):
            pipe.hmget(n.agent_meta, "revision", "updated_ms", "last_run_ms", "pause").hgetall(n.metrics)
            pipe.hgetall(n.measures).zcard(n.queued).zcard(n.waiting).zcard(n.running).zcard(n.dead)
            pipe.hvals(n.held).hvals(n.breakers)
        answers = iter(pipe.execute())
    per_agent = zip(*[answers] * 9, strict=True)
    return [_numbers(agent, *found) for agent, found in zip(agents, per_agent, strict=True)]


def _numbers(agent: str, head: list[Any], totals: dict[str, str], counted: dict[str, str], *rest: Any) -> Numbers:
    revision, updated_ms, last_run_ms, paused = head
    *calls, held, breakers = rest
    states = [(_kind(entry), int(entry["since"])) for entry in _read(held)]
    reasons = pause.reasons(json.loads(paused)) if paused else ()
    return Numbers(
        agent=agent,
        revision=int(revision or 0),
        updated_ms=int(updated_ms or 0),
        last_run_ms=int(last_run_ms or 0),
        paused_by=frozenset("cap" if "cap" in reason else "person" for reason in reasons),
        totals={name: int(total) for name, total in totals.items() if " " not in name},
        measures=measures.read(counted | totals),
        open=dict(zip(("queued", "waiting", "claimed", "dead"), calls, strict=True)),
        held=Counter(state for state, _ in states),
        oldest_held_ms=_oldest(states),
        breakers=[(str(each.get("task", "")), int(each["since"])) for each in _read(breakers)],
    )


def _read(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Return the values of JSON texts; to read them as one text is four times as quick with ten thousand held keys."""
    found: list[dict[str, Any]] = json.loads(f"[{','.join(texts)}]")
    return found


def _kind(entry: Mapping[str, Any]) -> str:
    """Return as what a key waits: `approval` if a person was asked before anything is sent, else its state."""
    return "approval" if entry.get("kind") == "approval" else str(entry["state"])


def _oldest(states: Iterable[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for state, since in states:
        found[state] = min(since, found.get(state, since))
    return found
