"""Which errors of Redis pass without anybody changing the data: a restart, a failover, a full memory or disk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from redis.exceptions import (
    ClusterDownError,
    ConnectionError,  # noqa: A004 - Redis's own
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004 - Redis's own
    TryAgainError,
)

_TRANSIENT = (ConnectionError, TimeoutError, OutOfMemoryError, ReadOnlyError, TryAgainError, ClusterDownError)
#: The same answers where redis-py has no class for them, or where an older server wraps them in the words of a script.
_CODES = re.compile(
    r"(?:^|[\s:]-?)(?:BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|OOM|READONLY|TRYAGAIN) ", re.ASCII
)


class RedisAway(ConnectionError):  # type: ignore[misc]  # mypy does not see redis-py's types
    """Raised when Redis does not answer for now, or refuses writes for now."""


def is_transient(error: RedisError) -> bool:
    """Whether the same request may well succeed later although nobody changed it."""
    if isinstance(error, _TRANSIENT):
        return True
    return isinstance(error, ResponseError) and _CODES.search(str(error)) is not None


def lineage(error: BaseException) -> Iterator[BaseException]:
    """The error, then the one that it was raised for, and so on. Never raises, whatever a class makes of its causes."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        hidden = _kept(cause, "__suppress_context__")
        cause = _kept(cause, "__cause__") or (None if hidden else _kept(cause, "__context__"))


def _kept(error: BaseException, name: str) -> Any:
    """What Python itself keeps under this name, past a property of the exception's class."""
    return BaseException.__dict__[name].__get__(error)
