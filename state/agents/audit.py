"""The decisions of persons about an agent: who decided what, by which door, when and why; newest first."""

from __future__ import annotations

import heapq
import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from typing import Any

from redis import Redis

from state.constants import MAX_AUDIT
from state.formatting import iso
from state.redis import client
from state.redis.keys import Keys

#: Where a decision can come in.
DOORS = ("command", "desk", "api", "mcp", "link", "celery")
#: Entries read from Redis at once.
BATCH_SIZE = 200


@dataclass(frozen=True)
class AuditEntry:
    """One decision of a person."""

    at: str  #: ISO 8601 in UTC
    agent: str
    by: str
    door: str  #: one of DOORS
    what: str  #: such as "applied", "pause" or "backfill"
    subject: str  #: the key, call, draft or schedule entry; "" if it is the agent
    why: str
    before: str
    after: str
    cursor: str = ""  #: where it stands among the decisions: `before` of `read` takes it


@dataclass(frozen=True)
class Said:
    """A decision before it is taken: what will stand in its entry, without its time and its end."""

    what: str
    by: str
    door: str = "command"
    why: str = ""
    subject: str = ""
    process: str = ""  #: that writes it into the journal, as an owner's name
    id: str = field(default_factory=partial(secrets.token_hex, 8))

    def as_json(self, **more: Any) -> str:
        """Return it as JSON text; `more` is what the journal needs besides."""
        return json.dumps(asdict(self) | more, ensure_ascii=False)


def noted(pipe: Any, agent: str, said: Said, at_ms: int, before: str, after: str) -> None:
    """Queue that a decision is noted, for a change without a script; audit.lua.inc does the same in a script."""
    n, text = Keys(agent), said.as_json(at=at_ms, before=before, after=after)
    pipe.xadd(n.audit, {"entry": text}, maxlen=MAX_AUDIT, approximate=True)
    pipe.hset(n.unwritten, said.id, text)


def read(
    agents: Sequence[str],
    *,
    limit: int,
    before: str | None = None,
    door: str = "",
    what: str = "",
    by: str = "",
    subject: str = "",
) -> list[AuditEntry]:
    """Return the decisions about these agents, newest first.

    Args:
        agents: The agents.
        limit: How many to return at most.
        before: The `cursor` of an entry: only those before it.
        door: Only those that came in here.
        what: Only this kind of decision.
        by: Only those of this person.
        subject: Only those about this key, call, draft or schedule entry.

    Raises:
        ValueError: `before` is not a cursor.

    """
    asked = {"door": door, "what": what, "by": by, "subject": subject}
    wanted = {name: value for name, value in asked.items() if value}
    redis = client.client()
    each = [_newest_first(redis, agent, before) for agent in agents]
    merged = heapq.merge(*each, key=lambda entry: _parsed(entry.cursor), reverse=True)
    fits = (entry for entry in merged if all(getattr(entry, name) == value for name, value in wanted.items()))
    return list(islice(fits, limit))


def _newest_first(redis: Redis, agent: str, before: str | None) -> Iterator[AuditEntry]:
    last = _last(agent, before) if before else "+"
    while rows := redis.xrevrange(Keys(agent).audit, last, "-", count=BATCH_SIZE):
        for place, row in rows:
            yield _entry(agent, place, json.loads(row["entry"]))
        last = f"({rows[-1][0]}"


def _entry(agent: str, place: str, kept: dict[str, Any]) -> AuditEntry:
    told = {name: str(kept.get(name) or "") for name in ("by", "door", "what", "subject", "why", "before", "after")}
    return AuditEntry(at=iso(kept["at"]), agent=agent, **told, cursor=f"{place}-{agent}")


def _last(agent: str, before: str) -> str:
    """Return the last place in the agent's stream that is before a cursor; equal places are in the order of their agents."""
    ms, number, other = _parsed(before)
    return f"{'' if agent < other else '('}{ms}-{number}"


def _parsed(cursor: str) -> tuple[int, int, str]:
    ms, number, agent = cursor.split("-", 2)
    return int(ms), int(number), agent
