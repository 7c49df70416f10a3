"""The state of the sentinels, the primary and the replicas, where REDIS_URL names sentinels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from state.redis import client
from state.redis.client import StoreError


@dataclass(frozen=True)
class Replication:
    """A primary, its replicas, and the sentinels that watch them, at one moment."""

    primary: str  #: host:port, as the sentinels give it to us
    is_primary: bool  #: it says so itself
    replicas: Sequence[str]  #: host:port of each that follows
    behind_s: int  #: seconds since the slowest of them acknowledged something; 0 without one
    answering: int  #: sentinels of REDIS_URL that answer and know the primary
    sentinels: int  #: sentinels in REDIS_URL
    quorum: int  #: sentinels that must agree that the primary is down
    min_replicas: int | None  #: replicas without which the primary refuses writes; None if it does not tell
    max_lag_s: int | None  #: how far behind they may be


def look() -> Replication | None:
    """Return how the servers of REDIS_URL stand; None if it names no sentinels. Raises StoreError."""
    redis = client.client()
    pool: Any = redis.connection_pool
    manager = getattr(pool, "sentinel_manager", None)
    if manager is None:
        return None
    known = [state for sentinel in manager.sentinels if (state := _asked(sentinel, pool.service_name))]
    about = redis.info("replication")
    host, port = pool.master_address or ("?", 0)
    following = [about[f"slave{number}"] for number in range(int(about.get("connected_slaves", 0)))]
    online = [each for each in following if each.get("state") == "online"]
    return Replication(
        primary=f"{host}:{port}",
        is_primary=about.get("role") == "master",
        replicas=[f"{each['ip']}:{each['port']}" for each in online],
        behind_s=max((int(each.get("lag", 0)) for each in online), default=0),
        answering=len(known),
        sentinels=len(manager.sentinels),
        quorum=max((int(state["quorum"]) for state in known), default=0),
        **_limits(redis),
    )


def _asked(sentinel: Any, name: str) -> dict[str, Any] | None:
    """Return what a sentinel says of the primary; None if it does not answer, or does not know it."""
    try:
        found: dict[str, Any] | None = sentinel.sentinel_masters().get(name)
    except StoreError:
        return None
    return found


def _limits(redis: Any) -> dict[str, int | None]:
    """Return without how many replicas the primary refuses writes; a server in a cloud may not tell."""
    try:
        found = redis.config_get("min-replicas-*")
    except StoreError:
        return {"min_replicas": None, "max_lag_s": None}
    return {
        "min_replicas": int(found.get("min-replicas-to-write", 0)),
        "max_lag_s": int(found.get("min-replicas-max-lag", 0)),
    }
