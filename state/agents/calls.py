"""Find keys and calls: the newest ones, and those whose name has a text in it. Every read has a bound."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from redis import Redis

from state.agents.past import in_full
from state.decision import refusal_text
from state.redis import client
from state.redis.keys import Keys

#: Keys of a database of which every one is looked at; a larger one is asked for its newest calls and for texts only.
MAX_KEYS = 60_000
#: Seconds after which a search of a larger database stops.
SEARCH_SECONDS = 3.0
#: Names that one SCAN looks at, and hashes that one pipeline reads.
BATCH = 2_000
#: Open and dead calls of each agent that are listed of a larger database.
MAX_OPEN = 500

_NAME = re.compile(r"gate:\{(?P<agent>[^}]+)\}:(?P<kind>key|call):(?P<name>.*)", re.DOTALL)
_GLOB = re.compile(r"([\\*?\[\]])")
_FIELDS = (
    "state",
    "task",
    "key",
    "call",
    "at_ms",
    "answer",
    "attempts",
    "why",
    "since_ms",
    "done_ms",
    "started_ms",
    "took",
)


@dataclass(frozen=True)
class Ref:
    """The name of a key (kind "key") or of a call (kind "call") of an agent."""

    agent: str
    kind: str
    name: str


@dataclass(frozen=True)
class FoundCall:
    """One call, or a key whose calls are not known any more (without a call)."""

    agent: str
    task: str
    key: str
    call: str
    state: str
    at_ms: int  #: when it was made, or is due first; of a key: when it last changed
    stage: str = ""  #: the check that refused it or lets it wait
    error: str = ""
    replayed: bool = False  #: it ran nothing: its key was done before


@dataclass(frozen=True)
class Wanted:
    """The calls that are asked for; an empty field takes all."""

    states: frozenset[str] = frozenset()
    task: str = ""
    since_ms: int = 0
    text: str = ""
    limit: int = 20


@dataclass(frozen=True)
class FoundCalls:
    """The calls that were found, newest first, how many fit in all, and what was not looked at (empty: nothing)."""

    calls: list[FoundCall]
    total: int
    cut: str = ""


def newest(agents: Sequence[str], wanted: Wanted) -> FoundCalls:
    """Return the newest calls of these agents that are wanted; refused ones are among them.

    Raises:
        StoreError: Redis does not answer.

    """
    redis = client.client()
    size, cut = redis.dbsize(), ""
    if size <= MAX_KEYS:
        refs, _ = scan(redis, "")
    else:
        refs, cut = _of_large_database(redis, agents, wanted.text, size)
    mine = frozenset(agents)
    found = [each for each in _read(redis, [ref for ref in refs if ref.agent in mine]) if _fits(each, wanted)]
    found.sort(key=lambda each: (each.at_ms, each.call), reverse=True)
    return FoundCalls(_with_reasons(redis, found[: wanted.limit]), len(found), cut)


def matching(agents: Sequence[str], text: str) -> tuple[list[Ref], bool]:
    """Return the keys and calls whose name has this text in it, sorted by name, and whether every name was looked at."""
    refs, whole = scan(client.client(), text)
    mine = frozenset(agents)
    return sorted((ref for ref in refs if ref.agent in mine), key=lambda ref: ref.name), whole


def newest_arguments(agent: str, number: int) -> list[tuple[str, str]]:
    """Return the task and the arguments (JSON text) of the newest calls in the agent's event stream, newest first."""
    redis, n = client.client(), Keys(agent)
    told = [
        json.loads(fields.get("attempt") or fields["refusal"]) for _, fields in redis.xrevrange(n.events, count=number)
    ]
    ids = dict.fromkeys(each["call"] for each in told if each.get("call"))
    found = client.hash_fields(redis, [n.call(call) for call in ids], "task", "kwargs")
    return [(str(task), str(kwargs)) for task, kwargs in found if task and kwargs]


def key_states(agent: str, keys: Sequence[str]) -> dict[str, tuple[str | None, bool]]:
    """Return the state of each of an agent's keys (None: it is not known), and whether its result has a flaw."""
    n = Keys(agent)
    with client.client().pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.hmget(n.key(key), "state", "flaw")
        return {key: (state, bool(flaw)) for key, (state, flaw) in zip(keys, pipe.execute(), strict=True)}


def described(refs: Iterable[Ref]) -> list[FoundCall]:
    """Return these keys and calls as far as they are known, without each key whose call is among them."""
    redis = client.client()
    return _with_reasons(redis, list(_read(redis, refs)))


def scan(redis: Redis, text: str, seconds: float = SEARCH_SECONDS) -> tuple[set[Ref], bool]:
    """Return every key and call whose name has this text in it, and whether all were looked at in time."""
    pattern = "gate:{*}:*" + (_GLOB.sub(r"\\\1", text) + "*" if text else "")
    found: set[Ref] = set()
    end = time.monotonic() + seconds
    for server in client.servers(redis):
        cursor = -1
        while cursor:
            cursor, names = server.scan(max(cursor, 0), match=pattern, count=BATCH)
            matches = (_NAME.fullmatch(str(name)) for name in names)
            found.update(Ref(**match.groupdict()) for match in matches if match and text in match["name"])
            if cursor and time.monotonic() > end:
                return found, False
    return found, True


def _of_large_database(redis: Redis, agents: Sequence[str], text: str, size: int) -> tuple[set[Ref], str]:
    """Return what is open, dead or in the event streams; with a text also every name that has it, as time allows."""
    refs, whole = scan(redis, text) if text else (set(), False)
    for agent in agents:
        refs |= set(_recent(redis, agent))
    if text and whole:
        return refs, ""
    rest = (
        "the search was stopped after some seconds" if text else "name a part of a key with --search to find older ones"
    )
    return refs, (
        f"Redis holds {size:,} keys, so only what is open and the newest ended calls of each agent are listed; {rest}"
    )


def _recent(redis: Redis, agent: str) -> Iterator[Ref]:
    n = Keys(agent)
    with redis.pipeline(transaction=False) as pipe:
        for name in (n.queued, n.waiting, n.dead):
            pipe.zrange(name, 0, MAX_OPEN - 1, desc=True)
        pipe.zrange(n.running, 0, MAX_OPEN - 1).hkeys(n.held).xrevrange(n.events)
        queued, waiting, dead, running, held, events = pipe.execute()
    yield from (Ref(agent, "call", call) for call in (*queued, *waiting, *dead))
    yield from (Ref(agent, "key", key) for key in (*running, *held))
    for _, fields in events:
        told = json.loads(fields.get("attempt") or fields["refusal"])
        yield Ref(agent, "call", told["call"]) if told.get("call") else Ref(agent, "key", told["key"])


def _read(redis: Redis, refs: Iterable[Ref]) -> Iterator[FoundCall]:
    """Yield the calls, and each key whose call is not among them."""
    known: set[tuple[str, str]] = set()
    every = sorted(refs, key=lambda ref: ref.kind)  # calls first
    for start in range(0, len(every), BATCH):
        batch = every[start : start + BATCH]
        for ref, fields in zip(batch, _hashes(redis, batch), strict=True):
            if fields["state"] is None or (ref.kind == "key" and (ref.agent, ref.name) in known):
                continue
            found = _found(ref, fields)
            known.add((found.agent, found.key))
            yield found


def _hashes(redis: Redis, refs: Sequence[Ref]) -> list[dict[str, Any]]:
    with redis.pipeline(transaction=False) as pipe:
        for ref in refs:
            n = Keys(ref.agent)
            pipe.hmget(n.key(ref.name) if ref.kind == "key" else n.call(ref.name), _FIELDS)
        return [dict(zip(_FIELDS, values, strict=True)) for values in pipe.execute()]


def _found(ref: Ref, fields: dict[str, Any]) -> FoundCall:
    fields = in_full(ref.name, fields) if ref.kind == "key" else fields
    task, state = fields["task"] or "", fields["state"]
    if ref.kind == "key":
        at = fields["done_ms"] or fields["since_ms"] or fields["started_ms"] or 0
        return FoundCall(ref.agent, task, ref.name, fields["call"] or "", state, int(at), error=fields["why"] or "")
    answer = json.loads(fields["answer"] or "{}")
    return FoundCall(
        ref.agent, task, fields["key"] or "", ref.name, state, int(fields["at_ms"] or 0), str(answer.get("stage", "")),
        refusal_text(answer) if answer.get("error") else "",
        replayed=state == "done" and not int(fields["attempts"] or 0),
    )  # fmt: skip


def _with_reasons(redis: Redis, found: list[FoundCall]) -> list[FoundCall]:
    """Add why a key is in doubt or held, which its call does not know."""
    whys = _hashes(redis, [Ref(each.agent, "key", each.key) for each in found])
    in_doubt = {"unknown", "held"}
    return [
        replace(each, error=fields["why"] or each.error) if each.state in in_doubt else each
        for each, fields in zip(found, whys, strict=True)
    ]


def _fits(each: FoundCall, wanted: Wanted) -> bool:
    text = wanted.text.casefold()
    return (
        (not wanted.states or each.state in wanted.states)
        and wanted.task in ("", each.task, each.task.rpartition(".")[2])
        and each.at_ms >= wanted.since_ms
        and any(text in value.casefold() for value in (each.key, each.call, each.task, each.error))
    )
