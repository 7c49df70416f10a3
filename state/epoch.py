"""The epoch: the identity of the ledger in Redis, written into the journal so that a loss of Redis is noticed."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis

from state.journal import Journal
from state.names import Names
from state.store import Script
from state.watermark import Known

#: Keys read at once while a new journal takes over what Redis knows.
AT_ONCE = 500

_reopen = Script("reopen")


@dataclass(frozen=True)
class Opening:
    """What must still hold when a ledger is opened, and what it begins with."""

    token: str  #: of the recovery that filled it; empty after a mere check
    run: str  #: the server that was checked or filled
    epoch: str
    fence: int
    before: str = ""  #: the epoch that Redis still has


def known(redis: Redis, journal: Journal, agent: str) -> Known:
    """What this machine's journal holds of the agent; a journal that holds nothing takes over what Redis knows.

    Raises JournalUnavailable.
    """
    return journal.known(agent) or _begin(redis, journal, agent)


@dataclass(frozen=True)
class Standing:
    """How one agent's ledger in Redis stands to the journal."""

    closed: str | None  #: why no effect may happen; None if they may
    unchecked: bool  #: the server was started anew since the ledger was opened; `audit` looks after that

    @property
    def is_sound(self) -> bool:
        return self.closed is None and not self.unchecked


def standings(redis: Redis, journal: Journal, agents: Sequence[str]) -> dict[str, Standing]:
    """Each agent's, with one round trip. The rules are those of admit.lua, which lets its caller look again where the epochs differ."""
    known_here = {agent: journal.known(agent) for agent in agents}
    with redis.pipeline(transaction=False) as pipe:
        pipe.info("server")
        for agent in agents:
            pipe.hmget(Names(agent).ledger, "epoch", "fence", "closed", "run")
        server, *ledgers = pipe.execute()
    return {
        agent: _compare(known_here[agent], str(server["run_id"]), *ledger)
        for agent, ledger in zip(agents, ledgers, strict=True)
    }


def why_closed(redis: Redis, journal: Journal, agent: str) -> str | None:
    """Why no effect of this agent may happen; None if they may."""
    return standings(redis, journal, [agent])[agent].closed


def _compare(
    here: Known | None, server: str, epoch: str | None, fence: str | None, closed: str | None, run: str | None
) -> Standing:
    unchecked = run is not None and run != server
    if here is None or closed:
        return Standing(closed, unchecked)
    if epoch is None:
        return Standing("Redis lost its data" if here.fence else None, unchecked)
    is_interrupted = unchecked and epoch == here.before  # who began the journal's epoch did not get to its end
    if epoch != here.epoch and not is_interrupted:
        return Standing("the ledger in Redis is not the one that the journal belongs to", unchecked)
    if int(fence or 0) < here.fence:
        return Standing(f"Redis fell back to fence {fence or 0}, the journal knows {here.fence}", unchecked)
    return Standing(None, unchecked)


def new() -> str:
    """A name that no ledger had before."""
    return secrets.token_hex(8)


def run_id(redis: Redis) -> str:
    """Which run of which server answers: another one after every restart and every failover."""
    return str(redis.info("server")["run_id"])


def reopen(redis: Redis, agent: str, opening: Opening) -> bool:
    """Let effects of this agent happen; False if Redis lost something since the work for it began."""
    args: list[str | int] = [opening.token, opening.run, opening.epoch, opening.fence, opening.before]
    return bool(_reopen(redis, [Names(agent).ledger], args)[0] == "open")


def _begin(redis: Redis, journal: Journal, agent: str) -> Known:
    """The first effect of this agent here: agree with Redis on an epoch."""
    with journal.alone():
        here = journal.known(agent)
        if here:
            return here
        run = run_id(redis)
        epoch, fence = redis.hmget(Names(agent).ledger, "epoch", "fence")
        if epoch:
            for event, record in _effects(redis, agent):
                journal.append(event, record, sync=False)
        here = Known(str(epoch or new()), int(fence or 0) if epoch else 0)
        journal.append("epoch", {"agent": agent, "epoch": here.epoch, "fence": here.fence}, sync=True)
        if epoch or reopen(redis, agent, Opening("", run, here.epoch, here.fence)):
            return here
        # Another machine was quicker, or Redis was started anew: what it has now is compared like any other ledger.
        epoch, fence = redis.hmget(Names(agent).ledger, "epoch", "fence")
        here = Known(str(epoch or new()), int(fence or 0))
        journal.append("epoch", {"agent": agent, "epoch": here.epoch, "fence": here.fence}, sync=True)
        return here


def _effects(redis: Redis, agent: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every effect that Redis knows of, as journal records: one that was sent, and its outcome if it has one.

    They say nothing of the epoch: until its own record follows, the journal counts as holding nothing.
    """
    n = Names(agent)
    for field, fence in redis.hscan_iter(n.ledger, match="sent:*", count=AT_ONCE):
        key = field.removeprefix("sent:")
        kept = redis.hgetall(n.key(key))
        if kept:
            yield from _of_key(redis, n, key, int(fence), kept)


def _of_key(redis: Redis, n: Names, key: str, fence: int, kept: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    which = {"agent": n.agent, "key": key, "call": kept["call"], "fence": fence}
    kwargs, door, options = redis.hmget(n.call(kept["call"]), "kwargs", "door", "options")
    intent = which | {"task": kept["task"], "fingerprint": kept.get("fingerprint", ""), "door": door or ""}
    intent |= {"owner": kept.get("owner", ""), "kwargs": json.loads(kwargs or "{}")}
    intent |= {"options": json.loads(options)} if options else {}
    intent |= {name: json.loads(kept[name]) for name in ("payload", "verify") if name in kept}
    yield "carried over", intent
    for name in (name for name in kept if name.startswith("point:")):
        yield "point", which | {"name": name.removeprefix("point:"), "value": kept[name]}
    if kept["state"] == "done":
        yield "outcome", which | {"outcome": "done"} | _result(kept)
    elif kept["state"] == "cancelled":
        yield "resolved", intent | {"how": "cancel", "by": "", "why": kept.get("why", "")}


def _result(kept: dict[str, str]) -> dict[str, Any]:
    return {name: json.loads(kept[name]) for name in ("result", "flaw") if name in kept}
