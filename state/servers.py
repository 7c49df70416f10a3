"""The servers of the ledger: where they are, and of a cluster, who holds what and who follows whom."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from state.redis import client
from state.redis.cluster import ClusterClient
from state.redis.exchange import exchange
from state.redis.server import Client
from state.redis.topology import Place

#: How CLUSTER NODES writes a slot that is handed on, or taken over.
_MOVING = re.compile(r"\[(\d+)-[<>]-")


@dataclass(frozen=True)
class Primary:
    """A primary of a cluster, and what it says of its settings; None where it does not tell."""

    place: str  #: host:port
    replicas: int  #: that follow it
    full_coverage: bool | None  #: it refuses everything while some slot has no primary
    min_replicas: int | None  #: replicas without which it refuses writes
    moving: frozenset[str]  #: slots that it is handing on or taking over


@dataclass(frozen=True)
class Cluster:
    """A cluster as its nodes describe it at one moment."""

    primaries: Sequence[Primary]
    uncovered: int  #: slots that no primary holds

    @property
    def moving(self) -> int:
        """The number of slots that are under way from one primary to another."""
        return len(frozenset[str]().union(*(each.moving for each in self.primaries)))

    @property
    def replicas(self) -> int:
        """The number of all replicas."""
        return sum(each.replicas for each in self.primaries)


def places() -> set[Place]:
    """Return where the nodes of the cluster in REDIS_URL are, as far as this process knows; nothing without one. Asks no server."""
    redis = client.client()
    return redis.connection_pool.places() if isinstance(redis, ClusterClient) else set()


def cluster() -> Cluster | None:
    """Ask the cluster in REDIS_URL how its nodes stand; None if it names none. Raises StoreError."""
    redis = client.client()
    if not isinstance(redis, ClusterClient):
        return None
    topology = redis.connection_pool
    topology.refresh()
    known = topology.replicas()
    return Cluster(
        [_primary(place, len(known[place]), topology.client_at(place)) for place in known], topology.uncovered()
    )


def _primary(place: Place, replicas: int, node: Client) -> Primary:
    coverage = _setting(node, "cluster-require-full-coverage")
    least = _setting(node, "min-replicas-to-write")
    return Primary(
        f"{place[0]}:{place[1]}",
        replicas,
        None if coverage is None else coverage == "yes",
        int(least) if least else None,
        _moving(node),
    )


def _moving(node: Client) -> frozenset[str]:
    """Return the slots that a server is handing on or taking over; none if it does not tell."""
    try:
        about = str(exchange(node, ("CLUSTER", "NODES"))[0])
    except client.StoreError:
        return frozenset()
    own = next((line for line in about.splitlines() if "myself" in line), "")
    return frozenset(_MOVING.findall(own))


def _setting(node: Client, name: str) -> str | None:
    """Return a setting of a server; None if it does not tell, as in a cloud or without the right to ask."""
    try:
        found = node.config_get(name).get(name)
    except client.StoreError:
        return None
    return None if found is None else str(found)
