"""The servers of one combination: where each is, and how it dies and comes back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import redis

from state.redis.keys import Keys
from tests.harness import RedisGroup, Valkey, until
from tests.harness.postgres import Postgres
from tests.harness.rabbitmq import RabbitMQ
from tests.harness.redis_cluster import RedisCluster
from tests.torture.producer import AGENT
from workers.rabbitmq import queues


class Engine(ABC):
    """One server, or one group of them, that is started when it is made."""

    #: Checks of `gatehouse doctor` that rightly ask for a second host, which a test on one machine does not have.
    advice: frozenset[str] = frozenset()

    @property
    @abstractmethod
    def url(self) -> str:
        """What the setting says."""

    @property
    @abstractmethod
    def version(self) -> str:
        """The name of the server and its version."""

    @abstractmethod
    def die(self) -> None:
        """Kill it with SIGKILL, and return when it, or what takes its place, answers again."""

    @abstractmethod
    def close(self) -> None:
        """End it and remove its data."""


class OneRedis(Engine):
    """A single server with an append-only file."""

    def __init__(self) -> None:
        self._server = Valkey(aof=True).start()

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def version(self) -> str:
        return _version(self._server.client())

    def die(self) -> None:
        self._server.restart("kill9")

    def close(self) -> None:
        self._server.close()


class Sentinels(Engine):
    """A primary, its replica and three sentinels."""

    advice = frozenset({"redis min-replicas"})

    def __init__(self) -> None:
        self._group = RedisGroup().start()

    @property
    def url(self) -> str:
        return self._group.url

    @property
    def version(self) -> str:
        return _version(self._group.primary().client())

    def die(self) -> None:
        """Kill the primary, wait for the failover, and start it again as a supervisor would.

        Redis replicates after it has answered: what was accepted before has to be at the replica first.
        """
        self._group.wait_for_replica()
        before = self._group.primary()
        before.kill9()
        self._group.wait_for_failover(before)
        before.start()

    def close(self) -> None:
        self._group.close()


class Cluster(Engine):
    """Three primaries and their replicas."""

    def __init__(self) -> None:
        self._cluster = RedisCluster().start()

    @property
    def url(self) -> str:
        return self._cluster.url

    @property
    def version(self) -> str:
        return f"{_version(self._cluster.primaries()[0].client())} Cluster"

    def die(self) -> None:
        """Kill the primary of the agent that is asked, wait for the failover, and start it again as a supervisor would.

        Redis replicates after it has answered: what was accepted before has to be at the replica first.
        """
        until(self._cluster.is_replicated, 60, "the replicas to have everything")
        ledger = Keys(AGENT).ledger
        before = self._cluster.primary_of(ledger)
        before.kill9()
        self._cluster.wait_for_failover(before, ledger)
        before.start()

    def close(self) -> None:
        self._cluster.close()


class Rabbit(Engine):
    """A single node of RabbitMQ."""

    def __init__(self) -> None:
        self._node = RabbitMQ(consumer_timeout=queues.CONSUMER_TIMEOUT).start()

    @property
    def url(self) -> str:
        return self._node.url

    @property
    def version(self) -> str:
        return f"RabbitMQ {self._node.ask('overview')['rabbitmq_version']}"

    def die(self) -> None:
        self._node.kill9()
        self._node.start()

    def close(self) -> None:
        self._node.close()


class Database(Engine):
    """A single PostgreSQL server for the shared journal."""

    def __init__(self) -> None:
        self._server = Postgres().start()

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def version(self) -> str:
        return f"PostgreSQL {self._server.sql('SHOW server_version')[0][0]}"

    def die(self) -> None:
        self._server.restart()

    def close(self) -> None:
        self._server.close()


def _version(client: redis.Redis) -> str:
    about: dict[str, Any] = client.info("server")
    return f"Valkey {about['valkey_version']}" if "valkey_version" in about else f"Redis {about['redis_version']}"
