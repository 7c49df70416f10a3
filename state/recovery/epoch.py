"""The epoch: the identity of the ledger in Redis, written into the journal so that a loss of Redis is noticed."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from redis import Redis

from state.journal.heads import JournalHead
from state.journal.journal import Journal
from state.recovery import takeover
from state.redis.keys import Keys
from state.redis.script import Script

_reopen = Script("reopen")


@dataclass(frozen=True)
class ReopenCondition:
    """What must still hold when a ledger is opened, and what it begins with."""

    token: str  #: of the recovery that filled it; empty after a mere check
    run: str  #: the server that was checked or filled
    epoch: str
    fence: int
    before: str = ""  #: the epoch that Redis still has


def known(redis: Redis, journal: Journal, agent: str) -> JournalHead:
    """What this machine's journal holds of the agent; a journal that holds nothing takes over what Redis knows.

    Raises JournalUnavailable.
    """
    here = journal.known(agent)
    return here if here and not here.incomplete else _begin(redis, journal, agent)


@dataclass(frozen=True)
class LedgerStatus:
    """How one agent's ledger in Redis stands to the journal."""

    closed: str | None  #: why no effect may happen; None if they may
    unchecked: bool  #: the server was started anew since the ledger was opened; `audit` looks after that
    incomplete: bool = False  #: the journal begins anew here; `known` takes over what Redis knows

    @property
    def is_sound(self) -> bool:
        return self.closed is None and not self.unchecked


def ledger_statuses(redis: Redis, journal: Journal, agents: Sequence[str]) -> dict[str, LedgerStatus]:
    """Each agent's, with one round trip. The rules are those of admit.lua, which lets its caller look again where the epochs differ."""
    known_here = {agent: journal.known(agent) for agent in agents}
    with redis.pipeline(transaction=False) as pipe:
        pipe.info("server")
        for agent in agents:
            pipe.hmget(Keys(agent).ledger, "epoch", "fence", "closed", "run")
        server, *ledgers = pipe.execute()
    return {
        agent: _compare(known_here[agent], str(server["run_id"]), *ledger)
        for agent, ledger in zip(agents, ledgers, strict=True)
    }


def why_closed(redis: Redis, journal: Journal, agent: str) -> str | None:
    """Why no effect of this agent may happen; None if they may."""
    return ledger_statuses(redis, journal, [agent])[agent].closed


def _compare(
    here: JournalHead | None, server: str, epoch: str | None, fence: str | None, closed: str | None, run: str | None
) -> LedgerStatus:
    unchecked = run is not None and run != server
    if here is None or closed:
        return LedgerStatus(closed, unchecked, incomplete=here is None)
    if epoch is None:
        return LedgerStatus("Redis lost its data" if here.fence else None, unchecked)
    is_interrupted = unchecked and epoch == here.previous_epoch  # who began the journal's epoch did not get to its end
    if epoch != here.epoch and not is_interrupted:
        return LedgerStatus("the ledger in Redis is not the one that the journal belongs to", unchecked)
    if int(fence or 0) < here.fence:
        return LedgerStatus(f"Redis fell back to fence {fence or 0}, the journal knows {here.fence}", unchecked)
    return LedgerStatus(None, unchecked, incomplete=here.incomplete)


def has_something_to_lose(redis: Redis, agent: str) -> bool:
    """Whether Redis has anything of this agent that a new journal must take over: a call that is open, or a ledger."""
    n = Keys(agent)
    return bool(redis.exists(n.queued, n.waiting, n.running, n.ledger))


def new() -> str:
    """A name that no ledger had before."""
    return secrets.token_hex(8)


def run_id(redis: Redis) -> str:
    """Which run of which server answers: another one after every restart and every failover."""
    return str(redis.info("server")["run_id"])


def reopen(redis: Redis, agent: str, opening: ReopenCondition) -> bool:
    """Let effects of this agent happen; False if Redis lost something since the work for it began."""
    answer = _reopen(
        redis,
        Keys(agent).of(),
        token=opening.token,
        server_run_id=opening.run,
        epoch=opening.epoch,
        fence=opening.fence,
        previous_epoch=opening.before,
    )
    return bool(answer[0] == "open")


def _begin(redis: Redis, journal: Journal, agent: str) -> JournalHead:
    """The first effect of this agent here: agree with Redis on an epoch."""
    with journal.exclusive():
        here = journal.known(agent)
        if here and not here.incomplete:
            return here
        run = run_id(redis)
        epoch, fence = redis.hmget(Keys(agent).ledger, "epoch", "fence")
        if here and (epoch != here.epoch or int(fence or 0) < here.fence):
            return here  # Redis lost something too: effects stay closed until `gate recover`
        for event, record in takeover.records(redis, agent):
            journal.append(event, record, sync=False)
        here = JournalHead(str(epoch or new()), int(fence or 0) if epoch else 0)
        journal.append("epoch", {"agent": agent, "epoch": here.epoch, "fence": here.fence}, sync=True)
        if epoch or reopen(redis, agent, ReopenCondition("", run, here.epoch, here.fence)):
            return here
        # Another machine was quicker, or Redis was started anew: what it has now is compared like any other ledger.
        epoch, fence = redis.hmget(Keys(agent).ledger, "epoch", "fence")
        here = JournalHead(str(epoch or new()), int(fence or 0))
        journal.append("epoch", {"agent": agent, "epoch": here.epoch, "fence": here.fence}, sync=True)
        return here
