"""Search of everything that Redis knows: names of keys and calls, and the words of errors. It ends in time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from redis import Redis

from state.agents import calls
from state.agents.calls import FoundCall, Ref
from state.redis import client
from state.redis.keys import Keys

#: Seconds after which the names of a large Redis are searched no further; a page may take a little longer.
SEARCH_SECONDS = 1.2
#: Names that are described at most, before they are sorted and cut.
MAX_DESCRIBED = 300


@dataclass(frozen=True)
class Found:
    """The keys and calls that were found, best first; whether all names were looked at, and of how many keys."""

    calls: list[FoundCall]
    whole: bool
    size: int  #: keys of Redis


def exact(agents: Sequence[str], text: str) -> Ref | None:
    """Return the key, or else the call, that has exactly this name. Takes one round trip."""
    refs = [Ref(agent, kind, text) for kind in ("key", "call") for agent in agents]
    with client.client().pipeline(transaction=False) as pipe:
        for ref in refs:
            n = Keys(ref.agent)
            pipe.exists(n.key(text) if ref.kind == "key" else n.call(text))
        return next((ref for ref, is_there in zip(refs, pipe.execute(), strict=True) if is_there), None)


def search(agents: Sequence[str], text: str, limit: int) -> Found:
    """Return what has this text in its name, or in the words of an error.

    Every name is looked at while time allows. Words of errors are those of what is held, of the newest errors and
    of the newest attempts and refusals.

    Args:
        agents: The agents to look at.
        text: The text; in errors, capitals do not matter.
        limit: How many to return at most.

    Raises:
        StoreError: Redis does not answer.

    """
    redis, mine = client.client(), frozenset(agents)
    told = [ref for agent in agents for ref in _with_these_words(redis, agent, text.casefold())]
    names, whole = calls.scan(redis, text, SEARCH_SECONDS)
    named = sorted((ref for ref in names if ref.agent in mine), key=lambda ref: _rank(ref, text))
    refs = list(dict.fromkeys([*named[:MAX_DESCRIBED], *told[:MAX_DESCRIBED]]))
    found = sorted(calls.described(refs), key=lambda each: (_rank_of(each, text), -each.at_ms))
    return Found(found[:limit], whole, int(redis.dbsize()))


def _rank(ref: Ref, text: str) -> tuple[bool, bool, str]:
    """Return the order among names: keys before calls, and those first that end or begin with the text."""
    return not (ref.name.endswith(f":{text}") or ref.name.startswith(text)), ref.kind != "key", ref.name


def _rank_of(each: FoundCall, text: str) -> int:
    if each.key.endswith(f":{text}"):  # the keys of a post
        return 0
    return 1 if each.key.startswith(text) or each.call.startswith(text) else 2


def _with_these_words(redis: Redis, agent: str, words: str) -> Iterator[Ref]:
    """Yield what an agent has in whose reason these words stand."""
    n = Keys(agent)
    with redis.pipeline(transaction=False) as pipe:
        pipe.hgetall(n.held).lrange(n.errors, 0, -1).xrevrange(n.events)
        held, errors, events = pipe.execute()
    yield from (Ref(agent, "key", key) for key, text in held.items() if words in _words(text, "why"))
    stream = (fields.get("attempt") or fields["refusal"] for _, fields in events)
    for text in (*errors, *stream):
        if words in _words(text, "error", "why", "detail"):
            record = json.loads(text)
            yield Ref(agent, "call", record["call"]) if record.get("call") else Ref(agent, "key", record["key"])


def _words(text: str, *names: str) -> str:
    """Return the reason in a record, which is JSON text, without regard to capitals."""
    if not any(f'"{name}"' in text for name in names):
        return ""
    record = json.loads(text)
    return " ".join(str(record.get(name, "")) for name in names).casefold()
