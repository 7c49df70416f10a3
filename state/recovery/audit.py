"""After a restart of Redis: is everything there that the journal knows? If so, effects go on by themselves."""

from __future__ import annotations

from collections.abc import Iterator

from redis import Redis

from state.journal.heads import STILL_WRITTEN
from state.journal.journal import Journal
from state.journal.projection import KeyState, Projection, project
from state.recovery import epoch
from state.recovery.epoch import ReopenCondition
from state.recovery.rebuild import Progress, Rebuilding
from state.redis.keys import Keys


def audit(redis: Redis, journal: Journal, agent: str) -> bool:
    """Open this agent's ledger on a server that was started anew, if it lost nothing that matters; else False.

    A crash loses the newest writes at most. A lost claim shows in the fence. A claim that was about to be sent is put
    back to where the journal saw it, and calls that were lost are registered again. Raises JournalUnavailable.
    """
    with journal.exclusive():
        run = epoch.run_id(redis)
        before, fence = redis.hmget(Keys(agent).ledger, "epoch", "fence")
        is_empty, here = before is None, journal.known(agent)
        standing = epoch.ledger_statuses(redis, journal, [agent])[agent]
        if here is None or (is_empty and here.fence) or standing.closed:
            return False
        if not is_empty and not standing.unchecked:
            return True  # somebody else was quicker, and claims of this run are none of our business
        # A claim that fell back to before the line may belong to a worker that lives: it must not cross it now.
        fresh = {"agent": agent, "epoch": epoch.new(), "fence": here.fence}
        journal.append("epoch", fresh | {"before": before or ""}, sync=True)
        here = journal.known(agent) or here
        if int(fence or 0) < here.fence:
            return False  # an intent was written meanwhile, for a claim that Redis lost
        _mend(redis, journal, agent)
        is_open = epoch.reopen(redis, agent, ReopenCondition("", run, here.epoch, here.fence, before or ""))
        if is_open:
            journal.append("epoch", fresh, sync=True)  # a Redis that falls back behind this has lost something
        return is_open


def _mend(redis: Redis, journal: Journal, agent: str) -> None:
    whole = project(journal.own_files()[-STILL_WRITTEN:])
    whole.calls = {name: call for name, call in whole.calls.items() if name[0] == agent}
    whole.keys = {(agent, key): standing for key, standing in _open_keys(redis, whole, agent)}
    with Rebuilding(redis, whole, lambda _task, _kwargs: []) as rebuilding:
        rebuilding.run(Progress())


def _open_keys(redis: Redis, whole: Projection, agent: str) -> Iterator[tuple[str, KeyState]]:
    """Keys that Redis has under way or in doubt, and of whose attempt the journal may have seen more."""
    n = Keys(agent)
    for key in {*redis.zrange(n.running, 0, -1), *redis.hkeys(n.held)}:
        fence = int(redis.hget(n.key(key), "fence") or 0)
        standing = whole.keys.get((agent, key))
        if standing and standing.fence == fence:
            yield key, standing
