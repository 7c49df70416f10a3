"""From the journal back into Redis: everything after a loss, and what a crash may have lost after a restart.

Both ways begin an epoch in the journal, write what it knows into Redis, and reopen effects only if Redis is still the
same server and lost nothing meanwhile. A crash in between leaves effects closed.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from redis import Redis

from state import hints
from state.journal.heads import STILL_WRITTEN
from state.journal.journal import Journal
from state.journal.projection import KeyState, Projection
from state.journal.projector import modes, project
from state.recovery import decided, epoch, restore, takeover
from state.recovery.batch_writer import RedisLostData
from state.recovery.cap_counts import CapsOf
from state.recovery.epoch import ReopenCondition
from state.recovery.rebuild import Progress, Rebuilding
from state.redis.keys import Keys


class Unrecoverable(Exception):
    """Raised when the journal has damaged lines, or Redis loses data during a recovery; says what to do."""


@dataclass
class RecoveryReport:
    """The result of a recovery."""

    records: int  #: read from the journal
    rebuilt: dict[str, int] = field(default_factory=dict)  #: how many keys, by the state they are in now
    kept: int = 0  #: keys of which Redis knew as much, or more
    calls: int = 0  #: calls that had not begun and wait again
    restored: list[str] = field(default_factory=list)  #: agents whose state file knew more than Redis
    epochs: dict[str, str] = field(default_factory=dict)  #: agent → its new epoch
    torn: list[str] = field(default_factory=list)  #: lines that were cut off; harmless
    damaged: list[str] = field(default_factory=list)  #: lines that were skipped


def recover(
    redis: Redis, journal: Journal, caps_of: CapsOf, progress: Progress, *, skip_damaged: bool = False
) -> RecoveryReport:
    """Rebuild the ledger of every agent that the journal or a state file knows, after Redis lost data.

    It may be repeated, and workers may run meanwhile.

    Args:
        redis: The connection.
        journal: The journal of this machine, with copies of others beside it.
        caps_of: Returns the caps that count an effect of a task and its arguments.
        progress: Told how far the work is.
        skip_damaged: Go on without lines of the journal that cannot be read.

    Raises:
        Unrecoverable: A line cannot be read, or Redis loses data again; effects stay closed in the second case.
        RestoreError: A state file cannot be read; nothing was changed.
        JournalUnavailable: The journal cannot be read or written.

    """
    restore.check(redis)
    with journal.exclusive(), _without_collector():
        closed = _Closed(redis, journal)
        statuses = epoch.ledger_statuses(redis, journal, journal.agents())
        closed.close(statuses)
        projection = project(journal.files(), progress.reads)
        try:
            report = _report(projection, skip_damaged=skip_damaged)
        except Unrecoverable:
            for agent in (agent for agent, status in statuses.items() if status.is_sound):
                closed.reopen(agent, projection)
            raise
        closed.close(set(projection.agents) - statuses.keys())
        for agent in sorted({*projection.agents, *restore.lost_agents(redis)}):
            if restore.merge(redis, agent, lost_all=not closed.previous.get(agent)):
                report.restored.append(agent)
        _rebuild(Rebuilding(redis, projection, caps_of, closed.token), progress, report)
        for agent, decisions in projection.decisions.items():
            decided.restore(redis, agent, decisions)
        for agent in projection.agents:
            report.epochs[agent] = closed.reopen(agent, projection)
    return report


def resync(redis: Redis, journal: Journal, agent: str) -> bool:
    """Reopen the ledger of an agent on a server that was restarted, if it lost nothing that matters.

    A crash loses the newest writes at most. A lost claim shows in the fence. A claim that was about to be sent is put
    back to where the journal has it, and calls that were lost are registered again.

    Returns:
        False if effects stay closed.

    Raises:
        JournalUnavailable: The journal cannot be read or written.

    """
    with journal.exclusive():
        run = epoch.run_id(redis, agent)
        previous, fence = redis.hmget(Keys(agent).ledger, "epoch", "fence")
        head, status = journal.known(agent), epoch.ledger_statuses(redis, journal, [agent])[agent]
        if head is None or (previous is None and head.fence) or status.closed:
            return False
        if previous is not None and not status.unchecked:
            return True  # another process reopened it already; claims that were made since need no repair
        # A claim that fell back to before its effect may belong to a living worker, and must not begin the effect now.
        fresh = _begin_epoch(redis, journal, agent, epoch.new(), before=previous or "")
        head = journal.known(agent) or head
        if int(fence or 0) < head.fence:
            return False  # an intent was written meanwhile, for a claim that Redis lost
        projection = project(journal.own_files()[-STILL_WRITTEN:])
        if previous is None:  # Redis has nothing of the agent: an older choice counts too
            projection.modes = modes(journal.own_files()) | projection.modes
        projection = _of_agent(redis, projection, agent)
        with Rebuilding(redis, projection) as rebuilding:
            rebuilding.run(Progress())
        decided.restore(redis, agent, projection.decisions.get(agent, ()))
        is_open = epoch.reopen(redis, agent, ReopenCondition("", run, fresh, head.fence, previous or ""))
        if is_open:
            _begin_epoch(redis, journal, agent, fresh)  # a Redis that falls back behind this has lost something
        return is_open


def _of_agent(redis: Redis, projection: Projection, agent: str) -> Projection:
    """Leave an agent's open calls, and the keys of attempts about which the journal may know more than Redis."""
    projection.calls = {name: call for name, call in projection.calls.items() if name[0] == agent}
    projection.modes = {name: mode for name, mode in projection.modes.items() if name == agent}
    projection.keys = {(agent, key): state for key, state in _open_keys(redis, projection, agent)}
    return projection


def _open_keys(redis: Redis, projection: Projection, agent: str) -> Iterator[tuple[str, KeyState]]:
    n = Keys(agent)
    for key in {*redis.zrange(n.running, 0, -1), *redis.hkeys(n.held)}:
        state = projection.keys.get((agent, key))
        if state and state.fence == int(redis.hget(n.key(key), "fence") or 0):
            yield key, state


class _Closed:
    """The ledgers that one recovery closed, and reopens."""

    def __init__(self, redis: Redis, journal: Journal) -> None:
        self.token = epoch.new()
        self.previous: dict[str, str | None] = {}  #: the epoch that Redis had, by agent
        self._redis, self._journal = redis, journal
        self._runs: dict[str, str] = {}  #: the run of the server that has the ledger, by agent
        self._fresh: dict[str, str] = {}  #: the epoch that begins, by agent

    def close(self, agents: Iterable[str]) -> None:
        """Let no call of these agents be claimed, and no effect begin; what they do later is not in the projection.

        Their epochs end in the journal too: an intent that is written from now on is never sent, so that none is missed.
        """
        for agent in agents:
            self._runs[agent] = epoch.run_id(self._redis, agent)
            ledger = Keys(agent).ledger
            with self._redis.pipeline(transaction=True) as pipe:
                pipe.hget(ledger, "epoch").hdel(ledger, "epoch")
                pipe.hset(ledger, mapping={"closed": "gate recover is at work, or was ended", "recovering": self.token})
                self.previous[agent] = pipe.execute()[0]
            self._fresh[agent] = _begin_epoch(self._redis, self._journal, agent, epoch.new())

    def reopen(self, agent: str, projection: Projection) -> str:
        """Let effects of the agent happen under a new epoch, and return it. Raises Unrecoverable."""
        fresh = self._fresh[agent]
        condition = ReopenCondition(self.token, self._runs[agent], fresh, projection.fences.get(agent, 0))
        if not epoch.reopen(self._redis, agent, condition):
            raise Unrecoverable(
                "Redis lost data again while it was being rebuilt; look at the server, then run this again"
            )
        return fresh


def _begin_epoch(redis: Redis, journal: Journal, agent: str, name: str, **more: str) -> str:
    """Write an epoch into the journal, before Redis has it: a crash in between leaves effects closed.

    An epoch says that the journal is complete, so one that lost records takes over what Redis knows first.
    """
    head = journal.known(agent)
    if head and head.incomplete:
        for event, record in takeover.records(redis, agent):
            journal.append(event, record, sync=False)
    journal.append("epoch", {"agent": agent, "epoch": name, "fence": head.fence if head else 0, **more}, sync=True)
    return name


def _rebuild(rebuilding: Rebuilding, progress: Progress, report: RecoveryReport) -> None:
    try:
        with rebuilding:
            rebuilding.run(progress)
    except RedisLostData as error:
        raise Unrecoverable(f"{error}; look at the server, then run this again") from None
    written = rebuilding.writer
    report.rebuilt, report.kept, report.calls = written.rebuilt, written.kept, written.calls


@contextmanager
def _without_collector() -> Iterator[None]:
    """Switch the garbage collector off: a projection is millions of objects without cycles, and a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _report(projection: Projection, *, skip_damaged: bool) -> RecoveryReport:
    torn = [str(damage) for damage in projection.damages if damage.torn]
    damaged = [str(damage) for damage in projection.damages if not damage.torn]
    if damaged and not skip_damaged:
        raise Unrecoverable(
            f"{'; '.join(damaged[:5])}. What stood there may have been sent: restore the journal from a backup, or look "
            f"at the providers and go on without these lines: {hints.gatehouse('recover', '--skip-damaged')}"
        )
    return RecoveryReport(projection.records, torn=torn, damaged=damaged)
