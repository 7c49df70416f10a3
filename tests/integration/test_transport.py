"""The transport between Celery and Redis: how many commands a message costs, and that it is as safe as kombu's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from kombu import Connection

import redis_url
from tests.conftest import a_valkey
from tests.harness.valkey import Valkey
from workers import broker


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    started = a_valkey()
    yield started
    started.close()


@pytest.fixture
def store(server: Valkey) -> redis.Redis:
    client = server.client()
    client.flushall()
    return client


@pytest.fixture
def channel(server: Valkey, store: redis.Redis) -> Iterator[Any]:
    with Connection(redis_url.read(server.url).for_kombu, transport=broker.Transport) as connection:
        yield connection.channel()


def send(channel: Any, count: int = 1) -> None:
    producer = channel.connection.client.Producer(channel)
    for n in range(count):
        producer.publish({"n": n}, routing_key="work")


def take(channel: Any) -> Any:
    """A message that is delivered, and not acknowledged yet."""
    message = channel.basic_get("work", no_ack=False)
    assert message is not None
    return message


def commands(store: redis.Redis) -> dict[str, int]:
    """Return how often each command ran since the last call of this function."""
    counted = {name.removeprefix("cmdstat_"): row["calls"] for name, row in store.info("commandstats").items()}
    store.config_resetstat()
    return {name: calls for name, calls in counted.items() if name not in {"info", "config|resetstat"}}


def test_a_message_costs_six_commands_and_no_transaction(channel: Any, store: redis.Redis) -> None:
    send(channel)
    take(channel).ack()  # both have connected
    commands(store)

    send(channel)
    take(channel).ack()

    assert commands(store) == {"lpush": 1, "rpop": 1, "zadd": 1, "hset": 1, "zrem": 1, "hdel": 1}


def test_all_commands_of_a_channel_share_one_client(channel: Any) -> None:
    with channel.conn_or_acquire() as first, channel.conn_or_acquire() as second:
        assert first is second


def test_a_fork_gives_a_channel_connections_of_its_own(channel: Any) -> None:
    send(channel)
    before = channel.kept_client()
    channel._after_fork()

    assert channel.kept_client().connection_pool is not before.connection_pool
    assert take(channel).payload == {"n": 0}


def test_what_is_not_acknowledged_is_noted_and_goes_back(channel: Any, store: redis.Redis) -> None:
    send(channel)
    message = take(channel)
    assert store.hlen("unacked") == store.zcard("unacked_index") == 1
    assert not store.llen("work")

    channel.qos.restore_by_tag(message.delivery_tag)

    assert not store.exists("unacked", "unacked_index")
    again = take(channel)
    assert again.payload == {"n": 0}
    assert again.delivery_info["redelivered"]


def test_a_rejected_message_is_gone(channel: Any, store: redis.Redis) -> None:
    send(channel)
    take(channel).reject()

    assert not store.keys("*")


def test_an_index_entry_without_a_message_is_removed(channel: Any, store: redis.Redis) -> None:
    """A server that stops between the two commands of a delivery leaves such an entry."""
    store.zadd("unacked_index", {"tag": 1})

    channel.qos.restore_by_tag("tag")

    assert not store.exists("unacked_index")


def test_a_server_with_a_full_memory_refuses_a_message_visibly(channel: Any, store: redis.Redis) -> None:
    send(channel)
    store.config_set("maxmemory", 1)
    try:
        with pytest.raises(redis.ConnectionError, match="maxmemory"):
            send(channel)
    finally:
        store.config_set("maxmemory", 0)
    send(channel)

    assert store.llen("work") == 2
