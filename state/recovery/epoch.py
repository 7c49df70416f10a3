"""The epoch: the identity of a ledger, in Redis and in the journal, so that a loss of Redis is noticed."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from redis import Redis

from state import hints
from state.errors import JournalUnavailable
from state.journal.heads import JournalHead
from state.journal.journal import Journal
from state.recovery import takeover
from state.redis.client import by_server, server_of
from state.redis.keys import Keys
from state.redis.script import Script

_reopen = Script("reopen")


@dataclass(frozen=True)
class ReopenCondition:
    """The conditions under which a ledger is reopened, and the epoch and the fence with which it begins."""

    token: str  #: of the recovery that filled the ledger; "" after a check
    server_run_id: str  #: of the server that was checked or filled
    epoch: str
    fence: int
    previous_epoch: str = ""  #: the epoch that Redis must have until then


@dataclass(frozen=True)
class LedgerStatus:
    """The result of comparing one agent's ledger in Redis with the journal."""

    closed: str | None  #: why no effect may happen; None if they may
    unchecked: bool  #: the server was restarted since the ledger was opened; `resync` compares it
    incomplete: bool = False  #: the journal begins anew, and Redis has something that it must take over
    journal_away: bool = False  #: the journal cannot be used; effects open by themselves as soon as it can

    @classmethod
    def without_journal(cls, error: JournalUnavailable) -> Self:
        """Return the status of every ledger while the journal cannot be used."""
        return cls(str(error), unchecked=False, journal_away=True)

    @property
    def command(self) -> str:
        """The command that a person runs while effects are closed: a recovery needs the journal."""
        return hints.gatehouse("doctor" if self.journal_away else "recover")

    @property
    def is_sound(self) -> bool:
        return self.closed is None and not self.unchecked


def ledger_statuses(redis: Redis, journal: Journal, agents: Sequence[str]) -> dict[str, LedgerStatus]:
    """Return the status of each agent's ledger, in one round trip; in a cluster in one for each of its primaries.

    The rules are those of soundness.lua.inc. Raises JournalUnavailable.
    """
    known_here = {agent: journal.known(agent) for agent in agents}
    agent_of = {Keys(agent).ledger: agent for agent in agents}
    found: dict[str, LedgerStatus] = {}
    for ledgers in by_server(redis, [*agent_of]):
        found |= _statuses_on_one_server(redis, known_here, [agent_of[name] for name in ledgers])
    return found


def _statuses_on_one_server(
    redis: Redis, known_here: Mapping[str, JournalHead | None], agents: Sequence[str]
) -> dict[str, LedgerStatus]:
    """Return the status of each ledger; in a pipeline, INFO is answered by the server of the other commands."""
    with redis.pipeline(transaction=False) as pipe:
        pipe.info("server")
        for n in map(Keys, agents):
            pipe.hmget(n.ledger, "epoch", "fence", "closed", "run").exists(n.queued, n.waiting, n.running, n.ledger)
        server, *answers = pipe.execute()
    ledgers = zip(agents, answers[::2], answers[1::2], strict=True)
    return {
        agent: _compare(known_here[agent], str(server["run_id"]), bool(has_data), *ledger)
        for agent, ledger, has_data in ledgers
    }


def why_closed(redis: Redis, journal: Journal, agent: str) -> str | None:
    """Return why no effect of this agent may happen; None if they may. Raises JournalUnavailable."""
    return ledger_statuses(redis, journal, [agent])[agent].closed


def _compare(
    here: JournalHead | None,
    server: str,
    has_data: bool,  # noqa: FBT001 - an open call or a ledger is in Redis
    epoch: str | None,
    fence: str | None,
    closed: str | None,
    run: str | None,
) -> LedgerStatus:
    unchecked = run is not None and run != server
    if here is None or closed:
        return LedgerStatus(closed, unchecked, incomplete=here is None and has_data)
    if epoch is None:
        return LedgerStatus("Redis lost its data" if here.fence else None, unchecked)
    is_interrupted = (
        unchecked and epoch == here.previous_epoch
    )  # the process that began the journal's epoch died before it reopened Redis
    if epoch != here.epoch and not is_interrupted:
        return LedgerStatus("the ledger in Redis is not the one that the journal belongs to", unchecked)
    if int(fence or 0) < here.fence:
        return LedgerStatus(f"Redis fell back to fence {fence or 0}, the journal knows {here.fence}", unchecked)
    return LedgerStatus(None, unchecked, incomplete=here.incomplete and has_data)


def new() -> str:
    """Return a new name for an epoch or a recovery."""
    return secrets.token_hex(8)


def run_id(redis: Redis, agent: str) -> str:
    """Return the id of the run of the server that has the agent's ledger; it changes with every restart and every failover."""
    return str(server_of(redis, Keys(agent).ledger).info("server")["run_id"])


def reopen(redis: Redis, agent: str, condition: ReopenCondition) -> bool:
    """Let effects of this agent happen; return False, and change nothing, if the condition does not hold any more."""
    answer = _reopen(
        redis,
        Keys(agent).of(),
        token=condition.token,
        server_run_id=condition.server_run_id,
        epoch=condition.epoch,
        fence=condition.fence,
        previous_epoch=condition.previous_epoch,
    )
    return bool(answer[0] == "open")


def begin(redis: Redis, journal: Journal, agent: str) -> JournalHead:
    """Agree with Redis on an epoch, before the agent's first effect on this machine; raises JournalUnavailable."""
    with journal.exclusive():
        here = journal.known(agent)
        if here and not here.incomplete:
            return here
        run = run_id(redis, agent)
        epoch, fence = redis.hmget(Keys(agent).ledger, "epoch", "fence")
        if here and (epoch != here.epoch or int(fence or 0) < here.fence):
            return here  # Redis lost something too: effects stay closed until `gate recover`
        for event, record in takeover.records(redis, agent):
            journal.append(event, record, sync=False)
        here = JournalHead(str(epoch or new()), int(fence or 0) if epoch else 0)
        journal.append("epoch", {"agent": agent, "epoch": here.epoch, "fence": here.fence}, sync=True)
        if epoch or reopen(redis, agent, ReopenCondition("", run, here.epoch, here.fence)):
            return here
        # Another machine opened it first, or Redis was restarted: what it has now is compared like any other ledger.
        epoch, fence = redis.hmget(Keys(agent).ledger, "epoch", "fence")
        here = JournalHead(str(epoch or new()), int(fence or 0))
        journal.append("epoch", {"agent": agent, "epoch": here.epoch, "fence": here.fence}, sync=True)
        return here
