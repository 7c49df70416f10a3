"""From the journal back into Redis: what was sent, what is in doubt and what waits, under a new epoch."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from redis import Redis

from state.journal.journal import Journal
from state.journal.projection import Projection, project
from state.recovery import epoch, restore
from state.recovery.rebuild import CapsOf, Progress, Rebuilding, RedisLostData
from state.redis.keys import Keys


class Unrecoverable(Exception):
    """Raised when the journal has damaged lines, or Redis keeps losing what is written; says what to do."""


@dataclass
class RecoveryReport:
    """What a recovery did."""

    records: int  #: read from the journal
    rebuilt: dict[str, int] = field(default_factory=dict)  #: how many keys, by the state they are in now
    kept: int = 0  #: keys of which Redis knew as much, or more
    calls: int = 0  #: calls that had not begun and wait again
    restored: list[str] = field(default_factory=list)  #: agents whose state file knew more than Redis
    epochs: dict[str, str] = field(default_factory=dict)  #: agent → its new epoch
    torn: list[str] = field(default_factory=list)  #: lines that were cut off; harmless
    damaged: list[str] = field(default_factory=list)  #: lines that were gone without


def recover(
    redis: Redis, journal: Journal, caps_of: CapsOf, progress: Progress, *, skip_damaged: bool = False
) -> RecoveryReport:
    """Rebuild the ledger of every agent that the journal knows. Harmless to repeat, and while workers run.

    Raises Unrecoverable if a line cannot be read (`skip_damaged` goes on without it), or if Redis loses data again
    meanwhile; effects stay closed then.
    """
    with journal.exclusive(), _without_collector():
        run, token = epoch.run_id(redis), epoch.new()
        # Closed before the journal is read: an effect that crosses the line later would not be in what was read.
        standings = epoch.ledger_statuses(redis, journal, journal.agents())
        before = _close(redis, standings, token)
        # And its epoch ends: an intent that is written from now on is never sent, so that none is missed.
        fresh = {agent: _end_epoch(journal, agent) for agent in before}
        whole = project(journal.files(), progress.reads)
        try:
            report = _report(whole, skip_damaged=skip_damaged)
        except Unrecoverable:
            for agent in (agent for agent, standing in standings.items() if standing.is_sound):
                _reopen(redis, agent, epoch.ReopenCondition(token, run, fresh[agent], whole.fences.get(agent, 0)))
            raise
        unknown = set(whole.agents) - before.keys()
        before |= _close(redis, unknown, token)
        fresh |= {agent: _end_epoch(journal, agent) for agent in unknown}
        for agent in whole.agents:
            if restore.merge(redis, agent, lost_all=not before[agent]):
                report.restored.append(agent)
        _rebuild(Rebuilding(redis, whole, caps_of, token), progress, report)
        for agent in whole.agents:
            opening = epoch.ReopenCondition(token, run, fresh[agent], whole.fences.get(agent, 0))
            report.epochs[agent] = _reopen(redis, agent, opening)
    return report


def _rebuild(rebuilding: Rebuilding, progress: Progress, report: RecoveryReport) -> None:
    try:
        with rebuilding:
            rebuilding.run(progress)
    except RedisLostData as error:
        raise Unrecoverable(f"{error}; look at the server, then run this again") from None
    report.rebuilt, report.kept, report.calls = rebuilding.rebuilt, rebuilding.kept, rebuilding.calls


@contextmanager
def _without_collector() -> Iterator[None]:
    """A journal in memory is millions of objects and no cycles; looking for those would take a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _report(whole: Projection, *, skip_damaged: bool) -> RecoveryReport:
    torn = [str(damage) for damage in whole.damages if damage.torn]
    damaged = [str(damage) for damage in whole.damages if not damage.torn]
    if damaged and not skip_damaged:
        raise Unrecoverable(
            f"{'; '.join(damaged[:5])}. What stood there may have been sent: restore the journal from a backup, or look "
            "at the providers and go on without these lines: celery -A workers gate recover --skip-damaged"
        )
    return RecoveryReport(whole.records, torn=torn, damaged=damaged)


def _close(redis: Redis, agents: Iterable[str], token: str) -> dict[str, str | None]:
    """From now on nobody claims a key or crosses the line; answers the epoch that Redis had, by agent."""
    had = {}
    for agent in agents:
        ledger = Keys(agent).ledger
        with redis.pipeline(transaction=True) as pipe:
            pipe.hget(ledger, "epoch").hdel(ledger, "epoch")
            pipe.hset(ledger, mapping={"closed": "gate recover is at work, or was ended", "recovering": token})
            had[agent] = pipe.execute()[0]
    return had


def _end_epoch(journal: Journal, agent: str) -> str:
    """The new epoch is in the journal before Redis has it: a crash in between leaves effects closed."""
    fresh, here = epoch.new(), journal.known(agent)
    journal.append("epoch", {"agent": agent, "epoch": fresh, "fence": here.fence if here else 0}, sync=True)
    return fresh


def _reopen(redis: Redis, agent: str, opening: epoch.ReopenCondition) -> str:
    if not epoch.reopen(redis, agent, opening):
        raise Unrecoverable("Redis lost data again while it was being rebuilt; look at the server, then run this again")
    return opening.epoch
