"""The connections that scripts use again: taking one from redis-py's pool and giving it back costs more than the script's call.

A pool counts a spare connection as in use, so it closes it with the others. Each is still looked at before it is used:
the server may have closed it, and after a fork it belongs to the parent.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from redis.connection import AbstractConnection, ConnectionPool
from redis.exceptions import RedisError

#: The spare connections of each pool; a deque may be used by many threads.
_spare: WeakKeyDictionary[Any, deque[Any]] = WeakKeyDictionary()


def take(pool: Any) -> AbstractConnection:
    """Return a connection that is open and has no answer left that nobody read.

    Raises:
        RedisError: A new one was needed, and the server does not take it.

    """
    of_pool = _spare.get(pool)
    with suppress(IndexError):
        while of_pool:
            connection = of_pool.pop()
            if connection.pid == os.getpid():
                return _checked(connection)
    return pool.get_connection()


def keep(pool: Any, connection: AbstractConnection) -> None:
    """Keep a connection whose answers were all read for the next script."""
    if type(pool) is ConnectionPool and not connection.should_reconnect():
        _spare.setdefault(pool, deque()).append(connection)
    else:
        pool.release(connection)  # a pool of another kind has a reason to see its connections again


def _checked(connection: AbstractConnection) -> AbstractConnection:
    """Return the connection, closed if it cannot be used as it is: the next command opens it again."""
    try:
        is_clean = not connection.can_read()
    except (RedisError, OSError):
        is_clean = False
    if not is_clean:
        connection.disconnect()
    return connection
