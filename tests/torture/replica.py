"""A second store that follows the first, lags behind it when told to, and takes its place."""

from __future__ import annotations

from tests.harness import Valkey, until
from tests.torture.proxied import Proxied


class Replica:
    """Follows `primary` through a proxy of its own."""

    def __init__(self, way: Proxied) -> None:
        self._way = way
        self.valkey = Valkey(aof=True).start()
        self.valkey.client().replicaof("127.0.0.1", str(way.port))
        until(self._follows, 20, "the replica to follow")

    def lag(self) -> None:
        """From now on nothing reaches it."""
        self._way.order(down="hold")

    def promote(self) -> None:
        """Take the place of the primary, without what was held back."""
        self.valkey.client().replicaof("NO", "ONE")
        self._way.cut("both")

    @property
    def target(self) -> str:
        return f"unix:{self.valkey.socket}"

    def close(self) -> None:
        self.valkey.close()

    def _follows(self) -> bool:
        about = self.valkey.client().info("replication")
        return about["master_link_status"] == "up" and not about["master_sync_in_progress"]
