"""One Lua script: its text, the names of its keys and arguments, and how it is run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import NoScriptError

from state.redis import lua
from state.redis.exchange import Command, exchange

#: What a script calls each key, and the key's name in Redis. A name that ends in "..." stands for a list of keys.
KeyNames = Mapping[str, str | Sequence[str]]
#: One argument, or the list behind a name that ends in "...".
Argument = str | bytes | int | Sequence[str | bytes | int]


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
            return cast("list[Any]", exchange(redis, ("EVALSHA", self._digest, *values))[0])
        except NoScriptError:
            return cast("list[Any]", exchange(redis, ("EVAL", self.text, *values))[0])

    def load(self, redis: Redis) -> None:
        """Load the script into the server, or into each of a cluster, so that `command` finds it there."""
        redis.script_load(self.text)

    def command(self, keys: KeyNames, arguments: Mapping[str, Argument]) -> Command:
        """Return the command that runs the script on a server that has it loaded. Raises TypeError as a call does."""
        return ("EVALSHA", self._digest, *self._values(keys, arguments))

    def queue(self, pipe: Pipeline, keys: KeyNames, /, **arguments: Argument) -> None:
        """Queue a run in a pipeline, with the text: in a transaction a script that the server forgot cannot be sent again."""
        pipe.execute_command("EVAL", self.text, *self._values(keys, arguments))

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
