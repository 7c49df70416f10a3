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
        self._keys, self._arguments = _Names("key", name, self.keys), _Names("argument", name, self.arguments)

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
        unknown = arguments.keys() - self._arguments.known
        if unknown:
            raise TypeError(
                f"{self.name}.lua: no argument is called {min(unknown)!r}; it takes: {', '.join(self.arguments)}"
            )
        in_order = self._keys.in_order(keys)
        return [len(in_order), *in_order, *self._arguments.in_order(arguments)]


class _Names:
    """The names of a script's keys, or of its arguments."""

    def __init__(self, kind: str, script: str, names: Sequence[str]) -> None:
        self._sentence = f"{script}.lua: the {kind} {{!r}} is missing; it takes: {', '.join(names)}"
        self._single = [name for name in names if not name.endswith(lua.REST)]
        self._rest = names[-1].removesuffix(lua.REST) if names[-1].endswith(lua.REST) else None
        self.known = {name.removesuffix(lua.REST) for name in names}

    def in_order(self, given: Mapping[str, Any]) -> list[Any]:
        """Return the values of all names; raise TypeError if one is missing."""
        try:
            values = [given[name] for name in self._single]
            if self._rest is not None:
                values += given[self._rest]
        except KeyError as error:
            raise TypeError(self._sentence.format(error.args[0])) from None
        return values


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
    except RedisError as error:
        if isinstance(error, ResponseError) and len(commands) > 1:
            connection.disconnect()  # the unread answers of the other commands must not reach the next user
        raise as_away(error) from error
    finally:
        pool.release(connection)
