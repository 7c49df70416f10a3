"""The keys that wait for a person or for a look-up: pages of them, counts, and one of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from state.agents import held
from state.formatting import iso
from state.key_version import FIELDS, version_of
from state.ledger.stores import Stores
from state.redis.client import hash_fields
from state.redis.keys import Keys

#: Why a key waits: a person was asked before anything is sent, an outcome is unknown, or a call took several workers down.
Kind = Literal["approval", "doubt", "poison"]

#: The fields of a key's hash that are read for a page.
_READ = (*FIELDS, "proposal", "task", "why", "since_ms")
#: Entries read at once where all are listed.
BATCH_SIZE = 500


@dataclass(frozen=True)
class Waiting:
    """One key that waits. Times are ISO 8601 in UTC; `version` is what a decision names as seen."""

    agent: str
    key: str
    call: str  #: "" of a key that was restored from a state file
    task: str
    state: str  #: "unknown" | "held"
    kind: Kind
    since: str
    why: str
    payload: Any  #: as it was frozen; None if nothing was
    digest: str  #: of the payload; "" if there is none
    version: str
    expires: str | None = None  #: of an approval: when it ends unanswered


class WaitingList(Stores):
    """The keys that wait for a person or for a look-up."""

    def waiting(self, agent: str, start: int = 0, count: int = 50, kind: Kind | None = None) -> list[Waiting]:
        """Return a page of the agent's keys that wait, oldest first. Takes two round trips.

        Args:
            agent: The agent.
            start: How many to pass over.
            count: How many to return at most.
            kind: "approval" for the approvals alone, "doubt" for everything else that waits.

        """
        return self._with_keys(agent, held.read_page(self.redis, agent, start, count, kind or "").entries)

    def all_waiting(self, agent: str) -> Iterable[Waiting]:
        """Yield every key of the agent that waits, oldest first."""
        start = 0
        while page := self.waiting(agent, start, BATCH_SIZE):
            yield from page
            start += BATCH_SIZE

    def count_waiting(self, agents: Sequence[str], kind: Kind | None = None) -> dict[str, int]:
        """Return how many keys of each agent wait; `kind` as in `waiting`."""
        with self.redis.pipeline(transaction=False) as pipe:
            for n in map(Keys, agents):
                pipe.hlen(n.held).zcard(n.asks)
            counts = list(map(int, pipe.execute()))
        asked = counts[1::2]
        found = {"approval": asked, "doubt": [all_ - some for all_, some in zip(counts[::2], asked, strict=True)]}
        return dict(zip(agents, found.get(kind or "", counts[::2]), strict=True))

    def waiting_one(self, agent: str, key: str) -> Waiting | None:
        """Return one key if it waits, else None."""
        text = self.redis.hget(Keys(agent).held, key)
        found = self._with_keys(agent, [json.loads(text)]) if text else []
        return found[0] if found else None

    def version(self, agent: str, key: str) -> str:
        """Return the version of a key in any state; "" if there is no such key."""
        kept = dict(zip(FIELDS, self.redis.hmget(Keys(agent).key(key), *FIELDS), strict=True))
        return version_of(kept) if kept["state"] else ""

    def _with_keys(self, agent: str, entries: list[dict[str, Any]]) -> list[Waiting]:
        n = Keys(agent)
        found = hash_fields(self.redis, [n.key(entry["key"]) for entry in entries], *_READ)
        keys = [dict(zip(_READ, values, strict=True)) for values in found]
        return [_described(agent, *pair) for pair in zip(entries, keys, strict=True)]


def _described(agent: str, entry: Mapping[str, Any], kept: Mapping[str, str | None]) -> Waiting:
    payload = kept["payload"] or (kept["proposal"] if entry.get("kind") == "approval" else None)
    return Waiting(
        agent=agent,
        key=entry["key"],
        call=kept["call"] or "",
        task=kept["task"] or "",
        state=entry["state"],
        kind=_kind(entry, kept),
        since=iso(entry["since"]),
        why=entry["why"],
        payload=json.loads(payload) if payload else None,
        digest=digest_of(payload) if payload else "",
        version=version_of(kept),
        expires=iso(entry.get("expires")),
    )


def _kind(entry: Mapping[str, Any], kept: Mapping[str, str | None]) -> Kind:
    if entry.get("kind") == "approval":
        return "approval"
    return "doubt" if entry["state"] == "unknown" or kept["payload"] else "poison"


def digest_of(payload: str) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of a payload, which is the JSON text as it was frozen."""
    return hashlib.sha256(payload.encode()).hexdigest()[:16]
