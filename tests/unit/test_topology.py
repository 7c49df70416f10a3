"""Which server of a cluster a command goes to, and what a move, a lost server and a lone server become."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from redis.crc import REDIS_CLUSTER_HASH_SLOTS
from redis.exceptions import AskError, MovedError, ResponseError

import settings
from state.redis import client, topology
from state.redis.away import RedisAway, UnusableRedis
from state.redis.server import Client
from state.redis.topology import Place, Topology, name_in, slot_of, slots_of
from tests.harness import Valkey

A, B = ("a", 1), ("b", 2)
LAST = REDIS_CLUSTER_HASH_SLOTS - 1


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topology, "PAUSES", (0.0,) * 3)


class Map(Topology):
    """A topology whose servers are `maps`, one after the other; each refresh takes the next."""

    def __init__(self, *maps: Sequence[Any]) -> None:
        super().__init__([A], lambda place: Client(host=place[0], port=place[1]))
        self._maps = list(maps)

    def refresh(self, first: Place | None = None) -> None:
        self._learn(self._maps.pop(0) if len(self._maps) > 1 else self._maps[0], first or A)


def port_of(server: Client) -> int:
    return int(server.connection_pool.connection_kwargs["port"])


HALVES = [[0, 8191, A, ("c", 3)], [8192, LAST, B]]
ALL_B = [[0, LAST, B]]


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (("HGET", "gate:{x}:head", "fence"), "gate:{x}:head"),
        (("EVALSHA", "digest", 2, "gate:{x}:key:k", "gate:{x}:head", "a"), "gate:{x}:key:k"),
        (("EVAL", "text", 0), None),
        (("TIME",), None),
        (("INFO", "server"), None),
    ],
)
def test_the_key_of_a_command_is_found(command: Sequence[Any], name: str | None) -> None:
    assert name_in(command) == name


def test_a_command_without_a_key_goes_with_the_first_key_and_alone_to_the_house() -> None:
    key = "gate:{x}:head"

    assert slots_of([("TIME",), ("GET", key)]) == [slot_of(key)] * 2
    assert slots_of([("TIME",)]) == [slot_of("gate:{house}:format")]


def test_each_question_goes_to_the_server_of_its_slot_and_its_answer_stands_in_its_place() -> None:
    answers = Map(HALVES).spread([9000, 1, 9001], lambda server, numbers: [(port_of(server), each) for each in numbers])

    assert answers == [(2, 0), (1, 1), (2, 2)]


def test_a_question_that_moved_is_asked_again_where_it_went_and_the_others_are_not() -> None:
    asked: list[Any] = []

    def ask(server: Client, numbers: Sequence[int]) -> list[Any]:
        asked.extend((port_of(server), each) for each in numbers)
        return [MovedError("1 b:2") if port_of(server) == 1 else "ok" for _ in numbers]

    assert Map(HALVES, ALL_B).spread([1, 9000], ask) == ["ok", "ok"]
    assert asked == [(1, 0), (2, 1), (2, 0)]


@pytest.mark.parametrize("error", [RedisAway("gone"), AskError("1 b:2")])
def test_a_server_that_stays_away_or_hands_its_slot_on_is_away(error: Exception) -> None:
    def ask(_server: Client, _numbers: Sequence[int]) -> list[Any]:
        raise error

    with pytest.raises(RedisAway):
        Map(HALVES).spread([1], ask)


def test_an_error_of_the_question_is_raised_at_once() -> None:
    asked: list[Any] = []

    def ask(_server: Client, numbers: Sequence[int]) -> list[Any]:
        asked.extend(numbers)
        raise ResponseError("WRONGTYPE")

    with pytest.raises(ResponseError, match="WRONGTYPE"):
        Map(HALVES).spread([1], ask)
    assert asked == [0]


def test_a_slot_that_nobody_holds_is_away_and_is_counted() -> None:
    found = Map([[0, 8191, A]])

    with pytest.raises(RedisAway, match="no primary of the cluster holds the slot 9000"):
        found.holder(9000)
    assert found.uncovered() == REDIS_CLUSTER_HASH_SLOTS - 8192


def test_a_server_without_an_address_of_its_own_is_the_one_that_was_asked() -> None:
    found = Map([[0, LAST, ("", 1)]])

    found.refresh(("asked", 1))

    assert found.replicas() == {("asked", 1): []}


def test_a_transaction_over_two_agents_is_refused_before_anything_is_sent() -> None:
    redis = client.open_client("redis+cluster://127.0.0.1:1/0", 1, 1)

    with redis.pipeline(transaction=True) as pipe, pytest.raises(ResponseError, match="belong to one agent"):
        pipe.get("gate:{a}:head").get("gate:{b}:head").execute()


def test_a_server_that_stands_alone_is_refused_with_a_sentence(valkey: Valkey) -> None:
    host, port = "127.0.0.1", 1
    found = Topology([(host, port)], lambda _: client.open_client(valkey.url, 3, 3))

    with pytest.raises(UnusableRedis, match="not part of a Redis Cluster, and REDIS_URL says that it is"):
        found.refresh()


def test_no_part_uses_the_cluster_client_of_redis_py() -> None:
    """Some of its errors are not a RedisError, so that what handles an unreachable Redis would miss them."""
    rooms = ("state", "gatekeeper", "workers", "web", "deploy")
    files = [path for room in rooms for path in (settings.ROOT / room).rglob("*.py")]

    assert len(files) > 300
    assert [
        path
        for path in files
        if re.search(r"(?<!state\.)redis\.(asyncio\.)?cluster\b|\bRedisCluster\b", path.read_text())
    ] == []
