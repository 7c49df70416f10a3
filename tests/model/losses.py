"""What Redis may lose, on a real server."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from redis import Redis

from state.redis.keys import Keys

#: The key that everything is about.
KEY = "post:feed:hello"


class Losses:
    """The part of a stage that breaks the store."""

    redis: Redis
    n: Keys

    def flush(self) -> None:
        self.redis.flushall()

    def copy(self) -> dict[str, bytes]:
        """All of Redis, for `roll_back`."""
        with closing(self._raw()) as raw:
            return {name: raw.dump(name) for name in raw.keys("*")}

    def roll_back(self, older: dict[str, bytes]) -> None:
        """What a server holds that was started anew on an older file."""
        with closing(self._raw()) as raw:
            raw.flushall()
            for name, value in older.items():
                raw.restore(name, 0, value)
        self.restart()

    def restart(self) -> None:
        """The run that opened the ledger is over: its name is not that of the server."""
        if self.redis.hexists(self.n.ledger, "run"):
            self.redis.hset(self.n.ledger, "run", "an earlier run")

    def evict(self) -> None:
        self.redis.delete(self.n.key(KEY))

    def _raw(self) -> Any:
        """A client that leaves bytes as they are."""
        return Redis(unix_socket_path=self.redis.connection_pool.connection_kwargs["path"])
