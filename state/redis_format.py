"""The format of what Redis holds: a number that every process compares at its start and with each report that it is alive.

A URL that does not say whether its server is part of a cluster is refused at the same time.
"""

from __future__ import annotations

from typing import Any

import settings
from server_urls import redis_url
from state.redis import client
from state.redis.away import UnusableRedis
from state.redis.script import Script

#: The newest format that this version reads. Raise it when older code would misread what this code writes. A Redis without
#: a number has format 1.
FORMAT = 2
#: The format of data that the version before reads too. Redis keeps it until something of format 2 is used, so that an
#: upgrade can be taken back until then.
FIRST = 1
#: Readers of format 1 know neither agents that observe or ask, whose effects they would send, nor a shared journal, beside
#: which they would write one of their own.
AUTONOMY = SHARED_JOURNAL = 2

_format = Script("format")


class ClusterRedis(UnusableRedis):
    """Raised for a server that is part of a cluster, and whose URL does not say so."""

    def __init__(self) -> None:
        super().__init__(
            "this server is part of a Redis Cluster, and its URL does not say so; write redis+cluster:// in REDIS_URL and "
            "another server in BROKER_URL, as docs/brokers.md shows"
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


def in_use() -> int:
    """Return the format that the settings of this process need; what persons choose raises it with `raise_to`."""
    chosen = settings.current()
    restricts = any(mode != "act" for mode in chosen.autonomy.values())
    return max(FIRST, AUTONOMY if restricts else 0, SHARED_JOURNAL if chosen.journal_url else 0)


def found() -> int:
    """Return the format of what Redis holds. Raises StoreError."""
    return int(client.client().get(key()) or FIRST)


def raise_to(redis: Any, needed: int) -> None:
    """Raise the format of what Redis holds: processes that do not read it end with a sentence, from now on.

    Args:
        redis: The connection.
        needed: The format of what is about to be used; a lower one changes nothing.

    Raises:
        NewerRedisFormat: A newer version wrote the data.
        StoreError: Redis does not answer.

    """
    compare(int(_format(redis, {"format": key()}, needed=needed)[1]))


def check() -> None:
    """Compare the format of this process's Redis with ours, and raise it to the one that is in use here.

    Raises:
        ClusterRedis: The server is part of a cluster, and its URL does not say so.
        NotACluster: The URL names a cluster, and the server stands alone.
        NewerRedisFormat: A newer version wrote the data.
        StoreError: Redis does not answer.

    """
    with client.client().pipeline(transaction=False) as pipe:
        pipe.info("cluster").get(key())
        about, found = pipe.execute(raise_on_error=False)
    refuse_cluster(settings.current().redis_url, about)
    if isinstance(found, client.StoreError):
        raise client.as_away(found) from found
    compare(int(found or 0))
    if int(found or 0) < in_use():
        raise_to(client.client(), in_use())


def _check_broker() -> None:
    """Raise ClusterRedis if the broker is another Redis, and in a cluster: kombu cannot use it."""
    chosen = settings.current()
    if chosen.broker_url != chosen.redis_url and not chosen.broker_url.startswith("amqp"):
        refuse_cluster(chosen.broker_url, client.client(chosen.broker_url).info("cluster"))


def refuse_cluster(url: str, about: Any) -> None:
    """Raise ClusterRedis if INFO cluster says that the server is in a cluster, which its URL does not say; it may refuse to tell."""
    if isinstance(about, dict) and about.get("cluster_enabled") and not redis_url.read(url).nodes:
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
