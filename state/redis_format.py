"""The format of what Redis holds: a number that every process compares at its start and with each report that it is alive.

A Redis that is part of a cluster is refused at the same time.
"""

from __future__ import annotations

from typing import Any

import settings
from state.redis import client

#: Raise it when older code would misread what this code writes. A Redis without a number has format 1.
FORMAT = 1


class UnusableRedis(client.StoreError):  # type: ignore[misc]  # mypy does not see redis-py's types
    """Raised for a Redis that answers, and that Gatehouse must not use; says what to do."""


class ClusterRedis(UnusableRedis):
    """Raised for a server that is part of a cluster: the ledger of all agents is on one server."""

    def __init__(self) -> None:
        super().__init__(
            "this server is part of a Redis Cluster, and Gatehouse keeps its ledger and its broker on one server each; "
            "name a server that stands alone, or sentinels, as docs/brokers.md shows"
        )


class NewerRedisFormat(UnusableRedis):
    """Raised for a Redis that a newer version of Gatehouse wrote: what it holds must not be guessed."""

    def __init__(self, found: int) -> None:
        super().__init__(
            f"Redis holds data of format {found}, and this version of Gatehouse reads up to format {FORMAT}; "
            "start the version that wrote it, or a newer one"
        )


def key() -> str:
    """string: the format of everything that Gatehouse keeps in this Redis"""  # noqa: D401 - the Redis type
    return "gate:{house}:format"


def check() -> None:
    """Compare the format of this process's Redis with ours, and write ours into a Redis that has none.

    Raises:
        ClusterRedis: The server is part of a cluster.
        NewerRedisFormat: A newer version wrote the data.
        StoreError: Redis does not answer.

    """
    with client.client().pipeline(transaction=False) as pipe:
        pipe.info("cluster").set(key(), FORMAT, nx=True).get(key())
        about, _, found = pipe.execute(raise_on_error=False)
    refuse_cluster(about)
    if isinstance(found, client.StoreError):
        raise client.as_away(found) from found
    compare(int(found))


def _check_broker() -> None:
    """Raise ClusterRedis if the broker is another Redis, and in a cluster: kombu cannot use it."""
    chosen = settings.current()
    if chosen.broker_url != chosen.redis_url and not chosen.broker_url.startswith("amqp"):
        refuse_cluster(client.client(chosen.broker_url).info("cluster"))


def refuse_cluster(about: Any) -> None:
    """Raise ClusterRedis if the answer to INFO cluster is that of a server in a cluster; a server may refuse to tell."""
    if isinstance(about, dict) and about.get("cluster_enabled"):
        raise ClusterRedis


def check_at_start() -> None:
    """Exit with one sentence if this Redis must not be used; a Redis that is away is compared later."""
    try:
        check()
        _check_broker()
    except UnusableRedis as error:
        raise SystemExit(f"gatehouse: {error}") from None
    except client.StoreError:
        return


def compare(found: int) -> None:
    """Raise NewerRedisFormat if a newer version wrote the format that was found."""
    if found > FORMAT:
        raise NewerRedisFormat(found)
