"""The findings of `gate doctor` about the sentinels, the cluster and the replicas that REDIS_URL leads to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from clients.text.words import counted
from state import replication, servers
from state.replication import Replication
from state.servers import Cluster, Primary
from workers.commands.vitals import Finding


def findings() -> Iterator[Finding]:
    """Yield what was found; nothing if REDIS_URL names a single server. Raises StoreError."""
    if (cluster := servers.cluster()) is not None:
        yield _cluster(cluster)
        yield _coverage(cluster)
        yield _writes_of(cluster)
    found = replication.look()
    if found is not None:
        yield _sentinels(found)
        yield _replicas(found)
        yield _writes(found)


def _cluster(found: Cluster) -> Finding:
    text = f"{len(found.primaries)} primaries, {found.replicas} replicas"
    if found.uncovered:
        change = "bring back the primary that held them; until then the calls of its agents wait"
        return Finding("redis cluster", f"{text}; no primary holds {found.uncovered} slots", change)
    if found.moving:
        change = f"wait for it, or if nobody moves any: redis-cli --cluster fix {found.primaries[0].place}"
        what = f"{counted(found.moving, 'slot is', 'slots are')} being moved: the calls of their agents wait"
        return Finding("redis cluster", f"{text}; {what}", change)
    if alone := _places(each for each in found.primaries if not each.replicas):
        return Finding(
            "redis cluster", f"{text}; nothing can take over from {alone}", "start a replica of each primary"
        )
    return Finding("redis cluster", text)


def _coverage(found: Cluster) -> Finding:
    """Tell what the loss of one primary does to the agents of the others."""
    name, setting = "redis full coverage", "cluster-require-full-coverage"
    if strict := _places(each for each in found.primaries if each.full_coverage):
        text = f"{setting} yes on {strict}: while any primary is away, the calls of all agents wait"
        return Finding(name, text, f"set {setting} no on each node")
    if all(each.full_coverage is None for each in found.primaries):
        return Finding(name, f"the nodes do not tell {setting}; yes lets all agents wait for any primary that is away")
    return Finding(name, f"{setting} no: while a primary is away, the calls of its agents wait, and others go on")


def _writes_of(found: Cluster) -> Finding:
    """Tell which primaries refuse writes for want of replicas, now or when the next one is lost."""
    name, setting = "redis min-replicas", "min-replicas-to-write"
    asking = [each for each in found.primaries if each.min_replicas]
    if refusing := _places(each for each in asking if each.replicas < (each.min_replicas or 0)):
        change = f"start its replicas, or set {setting} 0 there"
        return Finding(name, f"{refusing} refuses writes (NOREPLICAS): it has fewer replicas than {setting}", change)
    if tight := _places(each for each in asking if each.replicas == each.min_replicas):
        text = f"{setting} is as many as follow {tight}: when one of them is lost or takes over, the calls of its agents wait"
        change = f"add a replica, or set {setting} 0: a primary that is cut off stops after cluster-node-timeout"
        return Finding(name, text, change)
    if all(each.min_replicas is None for each in found.primaries):
        return Finding(name, "the nodes do not tell it")
    return Finding(name, f"{max(each.min_replicas or 0 for each in found.primaries)} to write")


def _places(primaries: Iterable[Primary]) -> str:
    return ", ".join(each.place for each in primaries)


def _sentinels(found: Replication) -> Finding:
    text = f"{found.answering} of {found.sentinels} answer, quorum {found.quorum}; primary {found.primary}"
    if not found.is_primary:
        return Finding("redis sentinels", f"{text}, which is a replica now", "look again in some seconds")
    if found.answering < found.sentinels:
        return Finding("redis sentinels", text, "start the sentinels that are away, or take them out of REDIS_URL")
    return Finding("redis sentinels", text)


def _replicas(found: Replication) -> Finding:
    if not found.replicas:
        return Finding("redis replicas", "none follows: nothing can take over", "start a replica of the primary")
    return Finding("redis replicas", f"{', '.join(found.replicas)}, at most {found.behind_s} s behind")


def _writes(found: Replication) -> Finding:
    if found.min_replicas is None:
        return Finding("redis min-replicas", "the server does not tell it")
    if not found.min_replicas:
        return Finding(
            "redis min-replicas",
            "0: a primary that is cut off goes on taking calls, and they are lost",
            "set min-replicas-to-write 1 and min-replicas-max-lag 10 on each server",
        )
    return Finding("redis min-replicas", f"{found.min_replicas} to write, at most {found.max_lag_s} s behind")
