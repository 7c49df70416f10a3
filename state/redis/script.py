"""One Lua script: its text, the names of its keys and arguments, and how it is run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from hiredis import pack_command
from redis import Redis
from redis.exceptions import NoScriptError, RedisError, ResponseError

from state.redis import lua
from state.redis.client import as_away

#: What a script calls each key, and the key's name in Redis. A name that ends in "..." stands for a list of keys.
KeyNames = Mapping[str, str | Sequence[str]]
#: One argument, or the list behind a name that ends in "...".
Argument = str | bytes | int | Sequence[str | bytes]


class Script:
    """One Lua file of `state/scripts/`, run by its digest and loaded on first use.

    The file names its keys and its arguments, in order; here they are given by name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.text, tables = lua.with_positions(lua.assembled(name))
        self._digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        self.keys, self.arguments = tables["KEYS"], tables["ARGV"]

    def __call__(self, redis: Redis, keys: KeyNames, /, **arguments: Argument) -> list[Any]:
        """Run the script atomically, in one round trip.

        Args:
            redis: The connection.
            keys: The keys by name; the script takes those that it names.
            **arguments: Exactly the arguments that the script names; lists without the "..." of their name.

        Returns:
            The script's answer, whose first item names it.

        Raises:
            TypeError: A key or an argument is missing or unknown.

        """
        values = self._values(keys, arguments)
        try:
            return cast("list[Any]", _exchange(redis, ("EVALSHA", self._digest, *values))[0])
        except NoScriptError:
            return cast("list[Any]", _exchange(redis, ("EVAL", self.text, *values))[0])

    def many(self, redis: Redis, runs: Iterable[tuple[KeyNames, Mapping[str, Argument]]]) -> list[list[Any]]:
        """Run once per pair of keys and arguments, in one round trip; each run is atomic, all together are not."""
        redis.script_load(self.text)
        return _exchange(redis, *(("EVALSHA", self._digest, *self._values(*run)) for run in runs))

    def _values(self, keys: KeyNames, arguments: Mapping[str, Argument]) -> list[Any]:
        """Return the number of keys, the keys and the arguments, in the order of the file."""
        try:
            in_order = _in_order(self.keys, keys)
            values = [len(in_order), *in_order, *_in_order(self.arguments, arguments)]
        except KeyError as error:
            raise self._misnamed(arguments, error.args[0]) from None
        if len(arguments) > len(self.arguments):
            raise self._misnamed(arguments)
        return values

    def _misnamed(self, arguments: Mapping[str, Argument], missing: str = "") -> TypeError:
        known = {name.removesuffix(lua.REST) for name in self.arguments}
        if unknown := arguments.keys() - known:
            what, takes = f"no argument is called {min(unknown)!r}", self.arguments
        elif missing in known and missing not in arguments:
            what, takes = f"the argument {missing!r} is missing", self.arguments
        else:
            what, takes = f"the key {missing!r} is missing", self.keys
        return TypeError(f"{self.name}.lua: {what}; it takes: {', '.join(takes)}")


def _in_order(names: Sequence[str], given: Mapping[str, Any]) -> list[Any]:
    """Return the values of all names, those of a list at the end; raise KeyError for a name that is missing."""
    if not names[-1].endswith(lua.REST):
        return [given[name] for name in names]
    return [*[given[name] for name in names[:-1]], *given[names[-1].removesuffix(lua.REST)]]


def _exchange(redis: Redis, *commands: tuple[str | bytes | int, ...]) -> list[Any]:
    """Run commands in one round trip, without redis-py's telemetry and its check of each argument: a quarter of the cost."""
    packed = b"".join(pack_command(command) for command in commands)  # type: ignore[arg-type]  # its type says: a tuple of one
    pool = redis.connection_pool
    try:
        connection = pool.get_connection()
    except RedisError as error:
        raise as_away(error) from error

    def exchange() -> list[Any]:
        connection.send_packed_command([packed])
        return [connection.read_response() for _ in commands]

    try:
        return cast("list[Any]", connection.retry.call_with_retry(exchange, lambda _: connection.disconnect()))
    except BaseException as error:
        if len(commands) > 1 or not isinstance(error, ResponseError):
            connection.disconnect()  # an answer that was not read must not reach the next user
        if isinstance(error, RedisError):
            raise as_away(error) from error
        raise
    finally:
        pool.release(connection)
