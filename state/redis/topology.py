"""The servers of a Redis Cluster: which of them holds which keys, and how a question finds its server.

redis-py has a client of its own for a cluster. It refuses EVALSHA in a pipeline, asks a server of its choice for what
belongs to one server, such as its clock or its run, and raises errors that are not a RedisError. So only its arithmetic of
slots is used.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, MovedError, RedisError

from state.redis.away import RedisAway, UnusableRedis, is_transient
from state.redis.exchange import Command, CommandRouter, exchange
from state.redis.server import Client, as_away

Place = tuple[str, int]
#: Runs the questions with these numbers on a server; returns an answer or an error for each, or raises.
Ask = Callable[[Client, Sequence[int]], list[Any]]

#: Seconds between two tries with a server that is away or has handed its slots on: three and a half in all, like
#: redis-py's with one server.
PAUSES = (0.0, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0)
#: A command without a key goes to the server of the house, if no key of others shows where.
HOUSE = "gate:{house}"
#: Commands that have no key; those with several words are written as redis-py writes them.
_KEYLESS = frozenset({"TIME", "INFO", "PING", "DBSIZE", "SCAN", "CONFIG GET", "SCRIPT LOAD", "ROLE"})
_SCRIPTS = frozenset({"EVAL", "EVALSHA"})


class NotACluster(UnusableRedis):
    """Raised when REDIS_URL names a cluster, and the server stands alone."""


class Topology(CommandRouter):
    """The servers of a cluster, and the slots that each holds. Threads may share it, and a fork may copy it."""

    def __init__(self, seeds: Sequence[Place], connect: Callable[[Place], Client]) -> None:
        self._seeds, self._connect = seeds, connect
        self._clients: dict[Place, Client] = {}
        #: The primary of each slot; replaced as a whole, never changed.
        self._holders: tuple[Place, ...] = ()
        self._replicas: Mapping[Place, Sequence[Place]] = {}

    def client_at(self, place: Place) -> Client:
        """Return the client of one server."""
        found = self._clients.get(place)
        return found if found is not None else self._clients.setdefault(place, self._connect(place))

    def holder(self, slot: int) -> Client:
        """Return the client of the primary that holds a slot. Raises RedisAway."""
        if not self._holders:
            self.refresh()
        place = self._holders[slot]
        if not place[1]:
            raise RedisAway(f"no primary of the cluster holds the slot {slot}")
        return self.client_at(place)

    def holder_of(self, name: str) -> Client:
        """Return the client of the primary that holds a key. Raises RedisAway."""
        return self.holder(slot_of(name))

    def primaries(self) -> list[Client]:
        """Return the client of each primary. Raises RedisAway."""
        return [self.client_at(place) for place in self.replicas()]

    def replicas(self) -> Mapping[Place, Sequence[Place]]:
        """Return the replicas of each primary. Raises RedisAway."""
        if not self._holders:
            self.refresh()
        return self._replicas

    def places(self) -> set[Place]:
        """Return where servers of the cluster are, as far as it is known."""
        return {*self._seeds, *self._clients}

    def uncovered(self) -> int:
        """Return how many slots no primary holds."""
        return sum(not port for _, port in self._holders)

    def refresh(self, first: Place | None = None) -> None:
        """Ask a server who holds which slots; raise RedisAway if none answers.

        Args:
            first: The server to ask first.

        """
        known = list({*self._seeds, *self._holders} - {("", 0)})
        random.shuffle(known)
        problem = "it has no server"
        for place in [first, *known] if first else known:
            try:
                self._learn(exchange(self.client_at(place), ("CLUSTER", "SLOTS"))[0], place)
            except RedisError as error:
                _refuse_single(error)
                problem = str(error)
            else:
                return
        seeds = ", ".join(f"{host}:{port}" for host, port in self._seeds)
        raise RedisAway(f"no node of the cluster {seeds} answers: {problem}")

    def _learn(self, ranges: Iterable[Any], asked: Place) -> None:
        holders: list[Place] = [("", 0)] * REDIS_CLUSTER_HASH_SLOTS
        replicas: dict[Place, list[Place]] = {}
        for begin, end, *servers in ranges:
            # A server that does not know its own address leaves it out: it is the one that was asked.
            primary, *others = ((str(host or asked[0]), int(port)) for host, port, *_ in servers)
            holders[begin : end + 1] = [primary] * (end + 1 - begin)
            replicas.setdefault(primary, others)
        if not replicas:
            raise RedisAway(f"the node {asked[0]}:{asked[1]} knows of no slots")
        self._holders, self._replicas = tuple(holders), replicas

    def close(self) -> None:
        """Close the connections to all servers."""
        for client in self._clients.values():
            client.close()

    def on(self, slot: int, action: Callable[[Client], Any]) -> Any:
        """Return what `action` returns for the server of a slot, and repeat it where that server is not the right one any more."""
        return self.spread([slot], lambda server, _: [action(server)])[0]

    def spread(self, slots: Sequence[int], ask: Ask) -> list[Any]:
        """Ask each question on the server that holds its slot; return the answers in the order of the questions.

        A server that is away, or that handed a slot on, is asked again, or the one that has taken its place. So a question
        must bear to be asked twice, as with redis-py's client of one server.

        Raises:
            RedisAway: A server was still away at the end.
            StoreError: A server refuses a question.

        """
        answers: list[Any] = [None] * len(slots)
        left: Sequence[int] = range(len(slots))
        for pause in PAUSES:
            if pause:
                time.sleep(pause)
            for server, numbers in self._grouped(left, slots):
                for number, answer in zip(numbers, _asked(ask, server, numbers), strict=True):
                    answers[number] = answer
            left = [number for number in left if _comes_again(answers[number])]
            if not left:
                return answers
            with suppress(RedisAway):
                self.refresh(_moved_to(answers[left[0]]))
        raise _as_away(answers[left[0]])

    def _grouped(self, numbers: Iterable[int], slots: Sequence[int]) -> list[tuple[Client, list[int]]]:
        groups: dict[int, tuple[Client, list[int]]] = {}
        for number in numbers:
            server = self.holder(slots[number])
            groups.setdefault(id(server), (server, []))[1].append(number)
        return list(groups.values())

    def exchange(self, commands: tuple[Command, ...]) -> list[Any]:
        """Run each command on the server that holds its key; one without a key on that of the first key."""
        return self.spread(
            slots_of(commands),
            lambda server, numbers: exchange(server, *(commands[number] for number in numbers)),
        )


def slot_of(name: str | bytes) -> int:
    """Return the slot of a key."""
    return int(key_slot(name if isinstance(name, bytes) else name.encode()))


def name_in(command: Sequence[Any]) -> str | bytes | None:
    """Return the first key of a command; None if it has none."""
    what = command[0]
    if what in _SCRIPTS:
        return command[3] if int(command[2]) else None
    return None if what in _KEYLESS else command[1]


def slots_of(commands: Sequence[Sequence[Any]]) -> list[int]:
    """Return the slot of each command; a command without a key belongs to the first key of the others."""
    names = [name_in(command) for command in commands]
    default = slot_of(next((name for name in names if name is not None), HOUSE))
    return [default if name is None else slot_of(name) for name in names]


def _asked(ask: Ask, server: Client, numbers: Sequence[int]) -> list[Any]:
    """Return the answers, or for each of them the error because of which it is to be asked again."""
    try:
        return ask(server, numbers)
    except RedisError as error:
        if not _comes_again(error):
            raise
        return [error] * len(numbers)


def _comes_again(answer: Any) -> bool:
    return isinstance(answer, RedisError) and (isinstance(answer, AskError) or is_transient(answer))


def _moved_to(answer: Any) -> Place | None:
    return (answer.host, answer.port) if isinstance(answer, MovedError) and answer.host else None


def _as_away(error: RedisError) -> RedisError:
    """Return the error as RedisAway: a slot that is under way from one server to another is there again soon."""
    return RedisAway(f"its slot is being moved: {error}") if isinstance(error, AskError) else as_away(error)


def _refuse_single(error: RedisError) -> None:
    if "cluster support disabled" in str(error):
        raise NotACluster(
            "this server is not part of a Redis Cluster, and REDIS_URL says that it is; write redis:// or rediss://"
        ) from None
