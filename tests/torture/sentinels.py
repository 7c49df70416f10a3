"""A Redis that sentinels watch, as the scenarios about it hold it."""

from __future__ import annotations

from typing import Any

from redis import Redis

from state.journal.journal import Journal
from state.ledger import Ledger
from state.redis import opening
from tests.harness import Node, RedisGroup, until
from tests.torture.arena import Arena
from tests.torture.producer import AGENT


class Sentinels(RedisGroup):
    """The store of an arena: a primary, a replica and three sentinels."""

    def __init__(self, arena: Arena) -> None:
        super().__init__(password="for-loopback-only")
        self._arena = arena

    @classmethod
    def of(cls, arena: Arena) -> Sentinels:
        """Lead everybody of an arena to a group of its own; nobody may have begun yet."""
        made = cls(arena)
        arena.keep(made.close)
        made.start()
        arena.house.env["REDIS_URL"] = made.url
        arena.watch.client = opening.open_client(Redis, made.url, decode_responses=True)
        arena.producer.begin_again()
        return made

    def recover(self) -> None:
        """Do what a person does where the new primary lacks what the old one had answered."""
        ledger = Ledger(self._arena.watch.client, Journal(self._arena.house.state_dir / "journal"))
        if ledger.statuses([AGENT])[AGENT].closed:
            self._arena.producer.gate("recover")

    def rest(self, deadline: float = 90.0) -> None:
        """Wait until every key has come to rest, with a person who does what `gate doctor` says."""

        def is_over() -> bool:
            self.recover()
            return self._arena.watch.all_rest()

        until(is_over, deadline, "every key to come to rest")

    def follows(self, node: Node) -> bool:
        """Whether a server that was the primary has become a replica."""
        about: dict[str, Any] = node.client().info("replication")
        return bool(about["role"] == "slave" and about["master_link_status"] == "up")
