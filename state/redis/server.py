"""The client of one server of Redis, which tells transient errors apart."""

from __future__ import annotations

from typing import Any, cast

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError

from state.redis.away import RedisAway, is_transient


class Client(Redis):  # type: ignore[misc]  # mypy does not see redis-py's types
    """A client that raises every transient error as RedisAway."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            return super().execute_command(*args, **options)
        except RedisError as error:
            raise as_away(error) from error

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:  # noqa: FBT001, FBT002 - redis-py's signature
        return _Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class _Pipeline(Pipeline):  # type: ignore[misc]  # likewise
    """A pipeline that raises every transient error as RedisAway."""

    def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - redis-py's signature
        try:
            return cast("list[Any]", super().execute(raise_on_error))
        except RedisError as error:
            raise as_away(error) from error


def as_away(error: RedisError) -> RedisError:
    """Return a transient error as RedisAway, and any other error unchanged."""
    return RedisAway(str(error)) if is_transient(error) else error
