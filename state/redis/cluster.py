"""The client of a Redis Cluster: each command goes to the server that holds its key.

The keys of an agent have one hash tag, so one server holds them all: a script and a transaction of an agent are as atomic as
on a single server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.commands import CoreCommands
from redis.exceptions import ConnectionError, RedisError, ResponseError  # noqa: A004 - Redis's own
from redis.retry import Retry

from server_urls import redis_url
from state.redis import opening
from state.redis.server import Client, as_away
from state.redis.topology import Place, Topology, slot_of, slots_of


class ClusterClient(CoreCommands):  # type: ignore[misc]  # mypy does not see redis-py's types
    """A client that has the commands of redis-py's, of which the keys of one run, pipeline or transaction decide the server.

    A command without a key, such as TIME, is answered by the server of the house.

    Args:
        url: The cluster, in the form that `redis_url` writes.
        **options: Of each connection, as redis-py takes them.

    """

    def __init__(self, url: str, **options: Any) -> None:
        place = redis_url.read(url)
        # A connection that was closed while nobody used it; everything else is the topology's to repeat, elsewhere.
        once = Retry(NoBackoff(), 1, supported_errors=(ConnectionError,))

        def connect(at: Place) -> Client:
            return opening.open_node(Client, place, at, retry=once, **options)

        self.connection_pool = Topology(place.nodes, connect)
        self.response_callbacks = self.connection_pool.client_at(place.nodes[0]).response_callbacks

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run one command on the server that holds its key."""
        [slot] = slots_of([args])
        return self.connection_pool.on(slot, lambda server: server.execute_command(*args, **options))

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> ClusterPipeline:  # noqa: FBT001, FBT002, ARG002 - redis-py's signature
        """Return a pipeline; the keys of a transaction have to be in one slot."""
        return ClusterPipeline(self.connection_pool, self.response_callbacks, transaction)

    def transaction(self, func: Callable[[Pipeline], Any], *watches: str, **options: Any) -> Any:
        """Run a function as a transaction on the server of the keys that it watches, until nobody changes them meanwhile."""
        slot = slot_of(watches[0])
        return self.connection_pool.on(slot, lambda server: server.transaction(func, *watches, **options))

    def primaries(self) -> list[Client]:
        """Return the client of each primary."""
        return self.connection_pool.primaries()

    def primary_of(self, name: str) -> Client:
        """Return the client of the primary that holds a key."""
        return self.connection_pool.holder_of(name)

    def by_primary(self, names: Sequence[str]) -> list[list[str]]:
        """Return names of keys, grouped by the primary that holds them."""
        groups: dict[int, list[str]] = {}
        for name in names:
            groups.setdefault(id(self.primary_of(name)), []).append(name)
        return list(groups.values())

    def scan_iter(self, *args: Any, **options: Any) -> Iterator[Any]:
        """Yield the names of keys of all primaries."""
        for server in self.primaries():
            yield from server.scan_iter(*args, **options)

    def dbsize(self, **_options: Any) -> int:
        """Return how many keys all primaries have."""
        return sum(int(server.dbsize()) for server in self.primaries())

    def script_load(self, script: str) -> None:
        """Load a script into all primaries."""
        for server in self.primaries():
            server.script_load(script)

    def close(self) -> None:
        """Close the connections to all servers."""
        self.connection_pool.close()


class ClusterPipeline(Pipeline):  # type: ignore[misc]  # likewise
    """Commands that are sent together: to each server those of its keys, or as one transaction to one server."""

    def __init__(self, topology: Topology, callbacks: Any, transaction: bool) -> None:  # noqa: FBT001 - redis-py's signature
        super().__init__(topology, callbacks, transaction, None)
        self._topology = topology

    def watch(self, *names: str) -> Any:
        """Watch keys; the transaction belongs to their server from now on."""
        if not self.watching:
            self.connection_pool = self._topology.holder_of(names[0]).connection_pool
        return super().watch(*names)

    def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - redis-py's signature
        """Send the commands; return their answers in order."""
        if self.watching:
            try:
                return cast("list[Any]", super().execute(raise_on_error))
            except RedisError as error:
                raise as_away(error) from error
        commands = [*self.command_stack]
        self.reset()
        if not commands:
            return []
        slots = slots_of([args for args, _ in commands])
        if not self.transaction:
            return self._spread(commands, slots, raise_on_error=raise_on_error)
        if len(set(slots)) > 1:
            raise ResponseError("CROSSSLOT the keys of a transaction have to belong to one agent")
        run = _sender(commands, transaction=True, raise_on_error=raise_on_error)
        return cast("list[Any]", self._topology.on(slots[0], lambda server: run(server, range(len(commands)))))

    def _spread(self, commands: list[Any], slots: list[int], *, raise_on_error: bool) -> list[Any]:
        answers = self._topology.spread(slots, _sender(commands, transaction=False, raise_on_error=False))
        if raise_on_error:
            self.raise_first_error(commands, answers)
        return answers


def _sender(
    commands: Sequence[Any], *, transaction: bool, raise_on_error: bool
) -> Callable[[Client, Sequence[int]], list[Any]]:
    """Return a function that sends the commands with these numbers to a server."""

    def send(server: Client, numbers: Sequence[int]) -> list[Any]:
        pipe: Any = server.pipeline(transaction=transaction)
        pipe.command_stack = [commands[number] for number in numbers]
        return cast("list[Any]", pipe.execute(raise_on_error))

    return send
