"""Commands for Redis without redis-py's telemetry and its check of each argument: an eighth of the cost."""

from __future__ import annotations

from typing import Any, cast

from hiredis import pack_command
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from state.redis import spare
from state.redis.server import as_away

Command = tuple[str | bytes | int, ...]


class CommandRouter:
    """The way of commands to their servers, which a client of a cluster has in place of a pool of connections."""

    def exchange(self, commands: tuple[Command, ...]) -> list[Any]:
        """Run each command on the server that holds its key, as `exchange` does."""
        raise NotImplementedError


class Packet:
    """Commands as they are sent, so that the thread that sends them has nothing else to do.

    Args:
        redis: The connection.
        *commands: Each command with its arguments.

    """

    def __init__(self, redis: Redis, *commands: Command) -> None:
        self._pool, self._commands = redis.connection_pool, commands
        self._bytes = b"" if isinstance(self._pool, CommandRouter) else _packed(commands)

    def exchange(self) -> list[Any]:
        """Run the commands, and return the answers, as the function `exchange` does; a packet can be used again."""
        if isinstance(self._pool, CommandRouter):
            return self._pool.exchange(self._commands)
        return _send(self._pool, self._bytes, len(self._commands))


def exchange(redis: Redis, *commands: Command) -> list[Any]:
    """Run commands in one round trip, or in a cluster in one for each server.

    Args:
        redis: The connection.
        *commands: Each command with its arguments.

    Returns:
        The answers as the server gives them: with RESP 3 a hash is a dict, and with RESP 2 a list of names and values.

    Raises:
        RedisAway: Redis does not answer.
        StoreError: Redis refuses a command.

    """
    pool = redis.connection_pool
    if isinstance(pool, CommandRouter):
        return pool.exchange(commands)
    return _send(pool, _packed(commands), len(commands))


def _packed(commands: tuple[Command, ...]) -> bytes:
    return b"".join(pack_command(command) for command in commands)  # type: ignore[arg-type]  # its type says: a tuple of one


def _send(pool: Any, packed: bytes, count: int) -> list[Any]:
    """Send so many commands, and return their answers."""
    try:
        connection = spare.take(pool)
    except RedisError as error:
        raise as_away(error) from error

    def send_and_read() -> list[Any]:
        connection.send_packed_command([packed])
        return [connection.read_response() for _ in range(count)]

    try:
        answers = connection.retry.call_with_retry(send_and_read, lambda _: connection.disconnect())
    except BaseException as error:
        if count > 1 or not isinstance(error, ResponseError):
            connection.disconnect()  # an answer that was not read must not reach the next user
        pool.release(connection)
        if isinstance(error, RedisError):
            raise as_away(error) from error
        raise
    spare.keep(pool, connection)
    return cast("list[Any]", answers)
