"""The takeover of what Redis knows by a new journal: every effect that was sent, and every call that is still open.

Redis may hold more than fits into memory, so it is read in batches.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from redis import Redis

from state.formatting import iso
from state.journal import events
from state.model import ENDED, Call, Proposal
from state.options import Options
from state.redis.client import batches
from state.redis.keys import Keys

#: Names asked for at once, and hashes read in one round trip: a payload may be a megabyte.
BATCH_SIZE, READ_AT_ONCE = 1000, 50

#: States in which a key that was never sent must be remembered too.
_REMEMBERED = frozenset({"queued", "waiting", "claimed", "unknown", "held", "cancelled"})

Record = tuple[str, dict[str, Any]]
Hash = dict[str, str]


def records(redis: Redis, agent: str) -> Iterator[Record]:
    """Yield the records of what Redis knows of this agent: open calls, keys, checkpoints and outcomes.

    The epoch is not among them: until its own record follows, the journal counts as empty.
    """
    n = Keys(agent)
    if mode := redis.hget(n.agent_meta, "autonomy"):
        yield "autonomy", {"agent": agent, "mode": mode, "by": "", "why": "taken over from Redis"}
    for _, row in redis.xrange(n.audit):
        yield "decision", {"agent": agent, "decision": events.of_decision(json.loads(row["entry"]))}
    yield from _open_calls(redis, n)
    for key, kept in _sent_keys(redis, n):
        yield from _of_key(redis, n, key, kept)
    for key, kept in _other_keys(redis, n):
        yield from _of_key(redis, n, key, kept)


def _open_calls(redis: Redis, n: Keys) -> Iterator[Record]:
    """Yield the calls that were accepted and have not ended.

    A call that an older version registered lacks the mark whether its task has an effect. It is taken over: a
    repeat-safe call may run once more, but a call with an effect must not be forgotten.
    """
    for call, kept in _scan(redis, n.call("")):
        if call and kept.get("state") == "cancelled" and not kept.get("key"):
            by = json.loads(kept.get("answer") or "{}").get("by", "")
            yield "forbidden", events.of_forbidden([n.agent], call, by)
            continue
        if not call or kept.get("state", "done") in ENDED or kept.get("effect", "1") != "1" or not kept.get("key"):
            continue
        yield "registered", events.accepted(Call.stored(n.agent, call, kept), kept)


def _sent_keys(redis: Redis, n: Keys) -> Iterator[tuple[str, Hash]]:
    sent = (field.removeprefix("sent:") for field, _ in redis.hscan_iter(n.ledger, match="sent:*", count=BATCH_SIZE))
    for keys in batches(sent, READ_AT_ONCE):
        yield from zip(keys, _hashes(redis, [n.key(key) for key in keys]), strict=True)


def _other_keys(redis: Redis, n: Keys) -> Iterator[tuple[str, Hash]]:
    """Yield the keys whose effect was not sent, and of which more is known than their call has."""
    for key, kept in _scan(redis, n.key("")):
        kept_points = bool(kept.get("epoch")) and any(name.startswith("point:") for name in kept)  # of an effect only
        frozen = "payload" in kept or "approved" in kept or kept_points
        decided = kept.get("state") in {"unknown", "held", "cancelled"}
        if kept.get("state") not in _REMEMBERED or not (frozen or decided) or not _is_of_an_effect(redis, n, kept):
            continue
        if not redis.hexists(n.ledger, f"sent:{key}"):
            yield key, kept


def _is_of_an_effect(redis: Redis, n: Keys, kept: Hash) -> bool:
    """Return whether the key's task has an effect; a key that an older version wrote shows it once it was claimed."""
    effect = redis.hget(n.call(kept.get("call", "")), "effect")
    return bool(effect != "0" and (effect or kept.get("epoch") != ""))


def _scan(redis: Redis, prefix: str) -> Iterator[tuple[str, Hash]]:
    names = redis.scan_iter(match=f"{prefix}*", count=BATCH_SIZE)
    for some in batches(names, READ_AT_ONCE):
        for name, kept in zip(some, _hashes(redis, some), strict=True):
            yield name.removeprefix(prefix), kept


def _hashes(redis: Redis, names: Sequence[str]) -> list[Hash]:
    with redis.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.hgetall(name)
        return list(pipe.execute())


def _of_key(redis: Redis, n: Keys, key: str, kept: Hash) -> Iterator[Record]:
    if not kept:
        return
    state, call, fence = kept["state"], kept.get("call", ""), int(kept.get("fence", 0))
    which: dict[str, Any] = {"agent": n.agent, "key": key, "call": call, "fence": fence}
    asked = which | _asked(redis, n, call) | {"task": kept.get("task", ""), "fingerprint": kept.get("fingerprint", "")}
    frozen = {name: json.loads(kept[name]) for name in ("payload", "verify") if name in kept}
    if "payload" in kept or state == "unknown":
        is_own = state == "sending" and kept.get("frozen_by") == str(fence)
        doubted = {} if is_own else {"doubted": True}
        yield "carried over", asked | {"owner": kept.get("owner", "")} | doubted | frozen
    for name in (name for name in kept if name.startswith("point:")):
        yield "point", which | {"name": name.removeprefix("point:"), "value": kept[name]}
    said = Options(**asked.get("options", {}))
    if said.has_followers and redis.zscore(n.followed, call) is None:
        yield "followed", {"agent": n.agent, "key": key, "call": call}  # its followers were started already
    yield from _standing(state, kept, which, asked)


def _standing(state: str, kept: Hash, which: dict[str, Any], asked: dict[str, Any]) -> Iterator[Record]:
    """Yield where the key stands; of an approval also what was asked."""
    is_open = state in {"queued", "waiting", "claimed"}
    if (state == "held" and "kind" in kept) or (is_open and "approved" in kept):
        yield "asked", asked | {"owner": kept.get("owner", "")} | _proposal(kept)
    match state:
        case "done":
            yield "outcome", which | {"outcome": "done"} | _result(kept)
        case "cancelled":
            yield "resolved", asked | {"how": "cancel", "by": "", "why": kept.get("why", "")}
        case "held" if "kind" not in kept:
            yield "held", which | {"why": kept.get("why", "")}
        case _ if is_open and "approved" in kept:
            yield "resolved", asked | {"how": "approve", "by": "", "why": ""}
        case _ if is_open and "payload" in kept:
            yield "outcome", which | {"outcome": "refused", "retry": True, "error": "it was not sent, and waits"}


def _asked(redis: Redis, n: Keys, call: str) -> dict[str, Any]:
    kwargs, origin, options = redis.hmget(n.call(call), "kwargs", "door", "options")
    asked = {"door": origin or "", "kwargs": json.loads(kwargs or "{}")}
    return asked | ({"options": json.loads(options)} if options else {})


def _proposal(kept: Hash) -> dict[str, Any]:
    text, revision = kept.get("proposal", "null"), int(kept.get("revision", 0))
    proposal = Proposal(text, kept.get("proposal_type", ""), revision, int(kept.get("expires_ms", 0)))
    return events.of_proposal(proposal) | {"expires": iso(proposal.expires_ms)}


def _result(kept: Hash) -> dict[str, Any]:
    return {name: json.loads(kept[name]) for name in ("result", "flaw") if name in kept}
