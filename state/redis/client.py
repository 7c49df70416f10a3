"""The connection to Redis, and the Lua scripts that change the ledger."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar, cast

from hiredis import pack_command
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import NoScriptError, RedisError, ResponseError

import redis_url
import settings
from state.redis import connections
from state.redis.away import RedisAway, is_transient

__all__ = [
    "Client",
    "RedisAway",
    "Script",
    "StoreError",
    "as_away",
    "client",
    "is_own",
    "now_ms",
    "retry_while_unavailable",
]

#: Raised by everything here when Redis does not answer, or not as it should.
StoreError = RedisError

#: Seconds; longer than any script takes, shorter than a person waits.
CONNECT_TIMEOUT = 3
ANSWER_TIMEOUT = 10


class Client(Redis):  # type: ignore[misc]  # mypy does not see redis-py's types
    """A client whose transient errors are `Away`, whatever their own class."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            return super().execute_command(*args, **options)
        except RedisError as error:
            raise as_away(error) from error

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:  # noqa: FBT001, FBT002 - redis-py's signature
        return _Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class _Pipeline(Pipeline):  # type: ignore[misc]  # likewise
    """The same for many commands at once."""

    def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - redis-py's signature
        try:
            return cast("list[Any]", super().execute(raise_on_error))
        except RedisError as error:
            raise as_away(error) from error


def as_away(error: RedisError) -> RedisError:
    """Return the error as `Away` if it is transient, and as it is otherwise."""
    return RedisAway(str(error)) if is_transient(error) else error


@cache
def client(url: str | None = None) -> Redis:
    """This process's client (safe to use from many threads and after a fork)."""
    made = Client.from_url(
        url or settings.current().redis_url,
        decode_responses=True,
        socket_connect_timeout=CONNECT_TIMEOUT,
        socket_timeout=ANSWER_TIMEOUT,
        client_name="gatehouse",
    )
    return connections.bound(made)


def is_own(connection: Any) -> bool:
    """Whether a connection of the Redis client goes to our Redis or our broker."""
    path, host, port = (getattr(connection, name, None) for name in ("path", "host", "port"))
    ours = map(redis_url.read, (settings.current().redis_url, settings.current().broker_url))
    return any(path == each.path if each.path else (host, port) == (each.host, each.port) for each in ours)


def now_ms(redis: Redis) -> int:
    """The server's clock, in milliseconds since 1970."""
    seconds, micros = redis.time()
    return int(seconds) * 1000 + int(micros) // 1000


Result = TypeVar("Result")


def retry_while_unavailable(action: Callable[[], Result], seconds: float) -> Result:
    """Repeat `action` while Redis is away, for so long; then raise what it raised. It must be harmless to repeat."""
    deadline, pause = time.monotonic() + seconds, 0.1
    while True:
        try:
            return action()
        except RedisAway:
            if time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 2.0)


#: Takes the place of what stands in the named file.
_INCLUDE = re.compile(r"^-- include (\S+)$", re.MULTILINE)


def _read(name: str) -> str:
    return files("state").joinpath("scripts", name).read_text()


class Script:
    """One Lua file of `state/scripts/`, run by its digest and loaded on first use."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._text = _INCLUDE.sub(lambda found: _read(found[1]), _read(f"{name}.lua"))
        self._digest = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, redis: Redis, keys: Sequence[str], args: Sequence[str | int]) -> list[Any]:
        """Run atomically; returns the script's answer, whose first item names it."""
        try:
            return _ask(redis, "EVALSHA", self._digest, len(keys), *keys, *args)
        except NoScriptError:
            return _ask(redis, "EVAL", self._text, len(keys), *keys, *args)

    def many(self, redis: Redis, runs: Sequence[tuple[Sequence[str], Sequence[str | bytes | int]]]) -> list[list[Any]]:
        """Run once per pair of keys and arguments, in one round trip; each run is atomic, all together are not."""
        redis.script_load(self._text)
        commands = [_packed("EVALSHA", self._digest, len(keys), *keys, *args) for keys, args in runs]
        return _exchange(redis, b"".join(commands), len(runs))


def _ask(redis: Redis, *command: str | int) -> list[Any]:
    """`redis.execute_command` without its telemetry and its look at each argument: a quarter of what a script costs."""
    return cast("list[Any]", _exchange(redis, _packed(*command), 1)[0])


def _packed(*command: str | bytes | int) -> bytes:
    return cast("bytes", pack_command(command))  # type: ignore[arg-type]  # its type says: a tuple of one


def _exchange(redis: Redis, packed: bytes, answers: int) -> list[Any]:
    try:
        return _exchanged(redis, packed, answers)
    except RedisError as error:
        raise as_away(error) from error


def _exchanged(redis: Redis, packed: bytes, answers: int) -> list[Any]:
    pool = redis.connection_pool
    connection = pool.get_connection()

    def exchange() -> list[Any]:
        connection.send_packed_command([packed])
        return [connection.read_response() for _ in range(answers)]

    try:
        return cast("list[Any]", connection.retry.call_with_retry(exchange, lambda _: connection.disconnect()))
    except ResponseError:
        if answers > 1:
            connection.disconnect()  # the answers behind this one are nobody's
        raise
    finally:
        pool.release(connection)
