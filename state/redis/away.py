"""Transient errors of Redis, which clear without a change to the data: a restart, a failover, a full memory or disk."""

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
#: Transient answers for which redis-py has no class, or which an older server wraps in the error of a script.
_CODES = re.compile(
    r"(?:^|[\s:]-?)(?:BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|OOM|READONLY|TRYAGAIN) ", re.ASCII
)


class UnusableRedis(RedisError):  # type: ignore[misc]  # mypy does not see redis-py's types
    """Raised for a Redis that answers, and that Gatehouse must not use; says what to do."""


class RedisAway(ConnectionError):  # type: ignore[misc]  # likewise
    """Raised when Redis does not answer, or refuses writes, for the time being."""


def is_transient(error: RedisError) -> bool:
    """Return whether the same request may succeed later."""
    if isinstance(error, _TRANSIENT):
        return True
    return isinstance(error, ResponseError) and _CODES.search(str(error)) is not None


def lineage(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, then the error that it was raised from, and so on; never raise, even if its class overrides them."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        hidden = _builtin_attribute(cause, "__suppress_context__")
        cause = _builtin_attribute(cause, "__cause__") or (None if hidden else _builtin_attribute(cause, "__context__"))


def _builtin_attribute(error: BaseException, name: str) -> Any:
    """Return Python's own attribute of the exception, even if its class has a property of this name."""
    return BaseException.__dict__[name].__get__(error)
