"""The work that each agent has for a sweep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from redis import Redis

from state.redis.exchange import exchange
from state.redis.keys import Keys


@dataclass(frozen=True)
class Pending:
    """The work that one agent has for a sweep."""

    revision: int  #: of the agent's state; 0 before its first run
    arrived_ms: Mapping[str, int]  #: by lane: when the newest message that a worker took was sent, in ms since 1970
    has_claims: bool = False
    is_due: bool = False  #: a call in `waiting` or `queued` has reached its time
    has_followed: bool = False  #: a call that other calls follow may have ended
    has_expired: bool = False  #: the time for an approval is over
    has_unwritten: bool = False  #: the journal lacks a decision of a person

    @property
    def needs_sweep(self) -> bool:
        """Return whether a sweep has to look at claims or calls; a reclaimed claim makes its call due at once."""
        return self.has_claims or self.is_due


def of_agents(redis: Redis, agents: Sequence[str]) -> dict[str, Pending]:
    """Return what each agent has for a sweep to do, by agent, however many agents there are in two round trips at most.

    The second one asks what is due of the agents of which anything is there; of a system at rest there is nothing.
    """
    answers = exchange(redis, *chain(*map(_first_questions, agents))) if agents else []
    heads = {agent: _head(fields) for agent, fields in zip(agents, answers[::2], strict=True)}
    busy = [agent for agent, exist in zip(agents, answers[1::2], strict=True) if exist]
    more = _more(redis, busy) if busy else {}
    return {agent: Pending(*head, *more.get(agent, ())) for agent, head in heads.items()}


def newest_arrival(pending: Iterable[Pending]) -> dict[str, int]:
    """Return when the newest message that any worker took was sent, in ms since 1970, by lane."""
    newest: dict[str, int] = {}
    for lane, sent in (arrival for each in pending for arrival in each.arrived_ms.items()):
        newest[lane] = max(sent, newest.get(lane, 0))
    return newest


def _first_questions(agent: str) -> list[tuple[str | int, ...]]:
    n = Keys(agent)
    return [
        ("HGETALL", n.agent_meta),
        ("EXISTS", n.running, n.waiting, n.queued, n.followed, n.expiring, n.unwritten),
    ]


def _head(found: Any) -> tuple[int, dict[str, int]]:
    """Return the revision, and when the newest message of each lane was sent."""
    head: dict[str, str] = found if isinstance(found, dict) else dict(zip(found[::2], found[1::2], strict=True))
    arrived = {field.partition(":")[2]: int(sent) for field, sent in head.items() if field.startswith("arrived_ms:")}
    return int(head.get("revision") or 0), arrived


def _more(redis: Redis, agents: Sequence[str]) -> dict[str, tuple[bool, ...]]:
    """Return the fields of Pending from `has_claims` on, by agent."""
    (seconds, micros), *answers = exchange(redis, ("TIME",), *chain(*map(_more_questions, agents)))
    now, each = int(seconds) * 1000 + int(micros) // 1000, len(answers) // len(agents)
    return {agent: _fields(now, *answers[at * each : (at + 1) * each]) for at, agent in enumerate(agents)}


def _more_questions(agent: str) -> list[tuple[str | int, ...]]:
    """Return the commands whose answers `_fields` takes."""
    n = Keys(agent)
    first = [("ZRANGE", queue, 0, 0, "WITHSCORES") for queue in (n.waiting, n.queued, n.followed, n.expiring)]
    return [("ZCARD", n.running), ("HLEN", n.unwritten), *first]


def _fields(now: int, claims: int, unwritten: int, *first: list[Any]) -> tuple[bool, ...]:
    waiting, queued, followed, expired = (bool(found) and _score(found) <= now for found in first)
    return claims > 0, waiting or queued, followed, expired, unwritten > 0


def _score(found: list[Any]) -> float:
    """Return the score of the first member: a pair with RESP 3, and with RESP 2 two items of the list."""
    return float(found[0][1] if isinstance(found[0], list) else found[1])
