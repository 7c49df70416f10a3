"""The findings of `gate doctor` about the sentinels, the cluster and the replicas that REDIS_URL leads to."""

from __future__ import annotations

from collections.abc import Iterator

from state import replication, servers
from state.replication import Replication
from state.servers import Cluster
from workers.commands.vitals import Finding


def findings() -> Iterator[Finding]:
    """Yield what was found; nothing if REDIS_URL names a single server. Raises StoreError."""
    if (cluster := servers.cluster()) is not None:
        yield _cluster(cluster)
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
    if found.without_replica:
        alone = ", ".join(found.without_replica)
        return Finding(
            "redis cluster", f"{text}; nothing can take over from {alone}", "start a replica of each primary"
        )
    return Finding("redis cluster", text)


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
