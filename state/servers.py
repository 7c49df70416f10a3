"""The servers of the ledger: where they are, and of a cluster, who holds what and who follows whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from state.redis import client
from state.redis.cluster import ClusterClient
from state.redis.topology import Place


@dataclass(frozen=True)
class Cluster:
    """A cluster as its nodes describe it at one moment."""

    primaries: Sequence[str]  #: host:port of each
    without_replica: Sequence[str]  #: those that no replica follows
    replicas: int
    uncovered: int  #: slots that no primary holds


def places() -> set[Place]:
    """Return where the nodes of the cluster in REDIS_URL are, as far as this process knows; nothing without one. Asks no server."""
    redis = client.client()
    return redis.connection_pool.places() if isinstance(redis, ClusterClient) else set()


def cluster() -> Cluster | None:
    """Ask the cluster in REDIS_URL how its nodes stand; None if it names none. Raises StoreError."""
    redis = client.client()
    if not isinstance(redis, ClusterClient):
        return None
    redis.connection_pool.refresh()
    known = {f"{host}:{port}": replicas for (host, port), replicas in redis.connection_pool.replicas().items()}
    alone = [primary for primary, replicas in known.items() if not replicas]
    return Cluster([*known], alone, sum(map(len, known.values())), redis.connection_pool.uncovered())
