"""The transport between Celery and Redis: how many commands a message costs, and that it is as safe as kombu's own."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest
import redis
from kombu import Connection, Queue
from kombu.asynchronous import Hub

from server_urls import redis_url
from tests.conftest import a_valkey
from tests.harness import until
from tests.harness.valkey import Valkey
from workers import broker
from workers.pace import SHORT, Pace


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


# In the event loop of a worker, one script acknowledges and takes


@pytest.fixture
def looping(server: Valkey, store: redis.Redis) -> Iterator[Looping]:
    with Connection(redis_url.read(server.url).for_kombu, transport=broker.Transport) as connection:
        made = Looping(connection)
        yield made
        made.hub.close()


class Looping:
    """A consumer of the queue `work` in an event loop, as a worker has it."""

    def __init__(self, connection: Any) -> None:
        self.hub = Hub()
        self.got: list[Any] = []
        self.channel = connection.channel()
        self.channel.basic_qos(0, 4, False)
        connection.transport.register_with_event_loop(connection.connection, self.hub)
        self.consumer = connection.Consumer(Queue("work"), channel=self.channel, on_message=self.got.append)
        self.consumer.consume()

    def turn_until(self, condition: Callable[[], Any], what: str) -> None:
        """Let the loop turn until something is true."""

        def turned() -> Any:
            self.hub.call_soon(lambda: None)
            next(self.hub.loop)
            return condition()

        until(turned, what=what)

    def take(self, count: int) -> list[Any]:
        """Return so many messages once they are delivered."""
        self.turn_until(lambda: len(self.got) >= count, f"{count} messages, not {len(self.got)}")
        taken, self.got[:] = list(self.got), []
        return taken


def test_a_busy_worker_takes_as_many_messages_at_once_as_it_may_have(looping: Looping, store: redis.Redis) -> None:
    commands(store)
    send(looping.channel, 10)

    taken = looping.take(4)

    assert [message.payload["n"] for message in taken] == [0, 1, 2, 3]
    assert store.llen("work") == 6
    assert set(store.hkeys("unacked")) == {message.delivery_tag for message in taken}
    assert store.zcard("unacked_index") == 4
    assert commands(store)["eval"] < 4  # the first comes by itself


def test_one_script_acknowledges_and_takes_the_next_messages(looping: Looping, store: redis.Redis) -> None:
    looping.channel.qos._pace = Pace(itertools.count().__next__)  # each task takes a second
    send(looping.channel, 8)
    first = looping.take(4)
    commands(store)

    for message in first:
        message.ack()
    second = looping.take(4)

    assert [message.payload["n"] for message in second] == [4, 5, 6, 7]
    assert set(store.hkeys("unacked")) == {message.delivery_tag for message in second}
    asked = commands(store)
    assert (asked["eval"], asked["zrem"], asked["hdel"], asked["rpop"]) == (1, 1, 1, 1)


def test_a_worker_holds_one_message_more_for_each_that_it_runs_while_they_are_short(
    looping: Looping, store: redis.Redis
) -> None:
    now = [0.0]
    looping.channel.qos._pace = Pace(lambda: now[0])
    send(looping.channel, 30)

    for message in looping.take(4):
        message.ack()
    held = looping.take(8)
    now[0] += 2 * SHORT
    held[0].ack()
    looping.turn_until(lambda: store.hlen("unacked") == 7, "the acknowledgement")

    assert store.llen("work") == 18
    for message in held[1:]:
        message.ack()
    assert len(looping.take(4)) == 4
    looping.turn_until(lambda: store.hlen("unacked") == 4, "the acknowledgements")


def test_a_message_that_comes_later_is_not_taken_ahead(looping: Looping, store: redis.Redis) -> None:
    looping.channel.qos._pace = Pace(lambda: 0.0)  # each task is short
    send(looping.channel, 5)
    looping.take(4)[0].ack()
    looping.take(1)
    looping.turn_until(lambda: store.hlen("unacked") == 4, "the acknowledgement")

    send(looping.channel)
    for _ in range(5):
        looping.turn_until(lambda: True, "a turn")

    assert store.llen("work") == 1


def test_a_task_that_becomes_long_while_the_script_is_made_lets_nothing_more_be_taken(
    looping: Looping, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, qos = [0.0], looping.channel.qos
    qos._pace = Pace(lambda: now[0])
    send(looping.channel, 30)
    for message in looping.take(4):
        message.ack()
    held = looping.take(8)
    take_acked = qos.take_acked

    def take_later() -> list[str]:
        now[0] += 2 * SHORT
        acked: list[str] = take_acked()
        return acked

    monkeypatch.setattr(qos, "take_acked", take_later)
    held[0].ack()
    looping.turn_until(lambda: store.hlen("unacked") < 8, "the acknowledgement")

    assert (store.hlen("unacked"), store.llen("work")) == (7, 18)


def test_what_a_worker_may_hold_does_not_change_while_a_script_is_under_way(
    looping: Looping, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, channel = [0.0], looping.channel
    channel.qos._pace = Pace(lambda: now[0])
    send(channel)
    looping.take(1)[0].ack()
    assert channel.qos.prefetch_count == 8

    with monkeypatch.context() as under_way:
        under_way.setattr(channel, "_asked", ("tags", ["work"]))
        now[0] += 2.0
        assert channel.qos.prefetch_count == 8  # else kombu would leave the answer unread

    assert channel.qos.prefetch_count == 4


def test_an_acknowledgement_is_sent_while_the_worker_waits_for_messages(looping: Looping, store: redis.Redis) -> None:
    send(looping.channel)
    [message] = looping.take(1)

    message.ack()

    looping.turn_until(lambda: not store.exists("unacked", "unacked_index"), "the acknowledgement")


def test_an_acknowledgement_in_another_thread_wakes_the_loop(looping: Looping, store: redis.Redis) -> None:
    send(looping.channel)
    [message] = looping.take(1)

    thread = threading.Timer(0.05, message.ack)
    thread.start()

    until(lambda: next(looping.hub.loop) or not store.exists("unacked"), what="the acknowledgement")
    thread.join()


def test_an_acknowledgement_is_sent_before_the_channel_closes(looping: Looping, store: redis.Redis) -> None:
    send(looping.channel, 2)
    done, _open = looping.take(2)

    done.ack()
    looping.channel.close()

    assert not store.exists("unacked", "unacked_index")
    assert store.llen("work") == 1  # the open one goes back


def test_what_was_taken_goes_back_if_its_delivery_breaks(looping: Looping, store: redis.Redis) -> None:
    send(looping.channel, 5)
    looping.take(4)[0].ack()  # the next one comes by script

    def broken(message: Any) -> None:
        raise RuntimeError(f"no place for {message.payload}")

    looping.consumer.on_message = broken
    with pytest.raises(RuntimeError, match="no place"):
        list(islice(looping.hub.loop, 1000))  # turns; each waits for something to read, a second at most
    looping.channel.close()

    assert store.llen("work") == 4
    assert not store.exists("unacked", "unacked_index")


@pytest.mark.parametrize("entry", ["not JSON", "[]", '{"properties": {"priority": "high"}}', "\xff\x00", ""])
def test_an_entry_that_is_no_message_is_dropped_among_others(looping: Looping, store: redis.Redis, entry: str) -> None:
    send(looping.channel)
    store.lpush("work", entry)
    send(looping.channel)
    store.lpush("work", entry)

    assert len(looping.take(2)) == 2

    looping.turn_until(lambda: store.hlen("unacked") == 2 and not store.exists("work"), "the entries to be dropped")
    assert store.zcard("unacked_index") == 2


def test_what_a_script_took_is_delivered_again_after_the_visibility_timeout(
    looping: Looping, store: redis.Redis
) -> None:
    send(looping.channel, 3)
    taken = looping.take(3)

    for message in taken:
        looping.channel.qos.restore_by_tag(message.delivery_tag)

    assert not store.exists("unacked", "unacked_index")
    assert store.llen("work") == 3
    again = looping.channel.basic_get("work")
    assert again.delivery_info["redelivered"]
