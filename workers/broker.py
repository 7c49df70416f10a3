"""The broker's transport: kombu's own over Redis, with fewer round trips, and without entries that are not messages.

kombu waits for an answer of Redis three times for each message: to take it, to note it as unacknowledged, and to acknowledge
it. While there is work, one script does this for all messages of a turn of the worker's loop, and the loop does not wait for
its answer.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty
from typing import Any

import structlog
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis
from kombu.utils import json, uuid

from gatekeeper.redact import describe
from state.errors import RedisAway, StoreError
from state.redis import client as store
from workers import envelope
from workers.broker_qos import QoS
from workers.broker_take import MAX_TAKEN, TAKE
from workers.envelope import Unreadable, check, log_dropped

log = structlog.get_logger("gatehouse.broker")

#: What a person need not do.
HINT = "their messages are delivered once more; the ledger knows that the calls are done"


class Channel(kombu_redis.Channel):
    """A channel that takes several messages at once, and treats a restarting or read-only Redis as a lost connection.

    kombu takes such an answer for a programming error: the worker ends, or runs on and consumes nothing. Besides,
    Celery 5.7.0 closes its broker connection after `connection.client` is gone; kombu then asks the missing client for
    its host name, and the AttributeError ends the worker. tests/acceptance/test_redis_restart.py and
    test_redis_killed_under_a_stream.py fail for as long as this is needed and missing.
    """

    QoS = QoS
    client: Any
    connection: Any
    pool: Any
    qos: Any
    active_queues: Any
    priority_steps: Any
    #: The event loop of a worker; None where messages are fetched one by one.
    loop: Any = None
    _kept: Any = None
    _in_poll: Any
    _queue_cycle: Any
    _busy = False  #: the last question brought a message, so the next one need not block
    _asked: tuple[str, list[str]] | None = None  #: the tags' prefix and the queues of a script that is under way

    def kept_client(self) -> Any:
        """Return the client for all commands but the blocking ones; kombu makes one for each command."""
        if self._kept is None or self._kept.connection_pool is not self.pool:  # a fork or a close gives it another pool
            self._kept = self._create_client()  # type: ignore[attr-defined]  # the stubs leave it out
        return self._kept

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        yield client or self.kept_client()

    def close(self) -> None:
        """Send the acknowledgements that wait, then close."""
        if not self.closed and self.qos.acked:
            try:
                self.qos.send_acked()
            except (StoreError, OSError) as error:
                log.warning("acknowledgements not sent", count=len(self.qos.acked), error=describe(error), hint=HINT)
        super().close()

    def settle_acked(self) -> None:
        """Send acknowledgements, unless a script is under way, or the one that comes next carries them."""
        if not self.qos.acked or (self._in_poll and self._asked):
            return
        if self._in_poll or not self.active_queues or not self.qos.can_consume():
            self.qos.send_acked()

    def _connparams(self, *args: Any, **options: Any) -> Any:
        if self.connection is None or self.connection.client is None:
            raise RedisAway("the broker connection is gone")
        return super()._connparams(*args, **options)  # type: ignore[misc]  # a private method that the stubs leave out

    def _get_client(self) -> Any:
        return super()._get_client() if self.global_keyprefix else store.Client  # type: ignore[misc]  # a private method that the stubs leave out

    def is_asking(self) -> bool:
        """Return whether a script that takes messages is under way."""
        return self._asked is not None

    def queue_name(self, queue: str, step: int) -> str:
        """Return the name of the list with the messages of this queue and priority."""
        return str(self._q_for_pri(queue, step))  # type: ignore[attr-defined]  # a private method that the stubs leave out

    def _brpop_start(self, timeout: Any = None) -> None:
        """Ask for messages: with the script while there are some, and otherwise with kombu's command that blocks."""
        self._asked = None
        if not self.loop or self.global_keyprefix or not (self._busy or self.qos.acked):
            if not (self.loop and self.qos.is_full()):  # what comes later would wait behind what runs by then
                super()._brpop_start(timeout)  # type: ignore[misc]  # a private method that the stubs leave out
            return
        queues = self._queue_cycle.consume(len(self.active_queues))
        names = [(self.queue_name(queue, step), queue) for step in self.priority_steps for queue in queues]
        prefix, acked = f"{uuid()}-", self.qos.take_acked()
        keys = [self.unacked_key, self.unacked_index_key, *(name for name, _ in names)]
        room = self.qos.can_consume_max_estimate()
        most = MAX_TAKEN if room is None else min(room, MAX_TAKEN)
        values = [time.time(), prefix, most, len(acked), *acked, *(json.dumps(queue) for _, queue in names)]
        self._asked = prefix, [queue for _, queue in names]
        self._in_poll, self._brpop_sent_at = self.client.connection, time.monotonic()
        self.client.connection.send_command("EVAL", TAKE, len(keys), *keys, *values)

    def _brpop_read(self, **options: Any) -> Any:
        try:
            if self._asked is not None:
                return self._read_taken(*self._asked)
            self._busy = False
            super()._brpop_read(**options)  # type: ignore[misc]  # a private method that the stubs leave out
            self._busy = True
        except Unreadable as error:
            log_dropped(str(error), ", ".join(sorted(self.active_queues)), error.text)
        except StoreError as error:
            self.client.connection.disconnect()
            raise store.as_away(error) from error
        return True

    def _read_taken(self, prefix: str, queues: list[str]) -> bool:
        """Read the script's answer, and deliver its messages; raises Empty if there are none."""
        try:
            answer = self.client.parse_response(self.client.connection, "EVAL")
        finally:
            self._in_poll = self._asked = None
            self._flush_brpop_reauth()  # type: ignore[attr-defined]  # the stubs leave it out
        taken = [(queues[int(answer[at])], answer[at + 1]) for at in range(0, len(answer), 2)]
        self._busy = bool(taken)
        if not taken:
            raise Empty
        tags = [f"{prefix}{number}" for number in range(len(taken))]
        self.qos.note_taken(tags)
        self._queue_cycle.rotate(taken[-1][0])
        for tag, (queue, item) in zip(tags, taken, strict=True):
            self.connection.deliver_taken(self, tag, queue, item.decode(errors="replace"))
        return True


class Poller(kombu_redis.MultiChannelPoller):
    """A poller that sends the acknowledgements of its channels in each turn of the loop."""

    _channels: set[Channel]
    loop: Any = None

    def add(self, channel: Any) -> None:
        """Poll a channel, which sends through the loop if there is one."""
        channel.loop = self.loop
        super().add(channel)

    def use(self, loop: Any) -> None:
        """Let all channels send through this loop."""
        self.loop = loop
        for channel in self._channels:
            channel.loop = loop

    @property
    def fds(self) -> dict[int, Any]:
        """Return the connections to poll; without those that the loop polls already, which it would add in each turn."""
        found: dict[int, Any] = super().fds
        return {fd: one for fd, one in found.items() if fd not in self.loop.readers} if self.loop else found

    def on_poll_start(self) -> None:
        """Ask each channel's queues for messages, and send what no such question carries."""
        for channel in self._channels:
            channel.settle_acked()
        super().on_poll_start()


class Transport(kombu_redis.Transport):
    """A transport that drops entries that are not messages."""

    Channel = Channel

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cycle: Any = Poller()

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Let all channels of a worker send through its loop."""
        super().register_with_event_loop(connection, loop)
        self.cycle.use(loop)

    def deliver_taken(self, channel: Any, tag: str, queue: str, text: str) -> None:
        """Deliver a message that the script took under this tag."""
        try:
            self._deliver(envelope.loads(text), queue, tag)
        except Unreadable as error:
            log_dropped(str(error), queue, error.text or text)
        else:
            return
        channel.qos.ack(tag)

    def _deliver(self, message: Any, queue: Any, tag: str = "") -> None:
        try:
            check(message)
        except Unreadable as error:
            if tag:
                raise
            log_dropped(str(error), queue, json.dumps(message))
            return
        # Messages with one tag would be acknowledged together. A message must go back to the queue it came from.
        message["properties"]["delivery_tag"] = tag or uuid()
        info = message["properties"].get("delivery_info")
        if not self._is_fanout(queue) or not isinstance(info, dict):
            message["properties"]["delivery_info"] = {"exchange": "", "routing_key": queue}
        super()._deliver(message, queue)

    def _is_fanout(self, queue: str) -> bool:
        channels: list[Any] = [channel for channel in self.channels or () if channel]
        return any(queue in channel.active_fanout_queues for channel in channels)


def install() -> None:
    """Use this transport for every connection that is opened from now on."""
    kombu_redis.loads = envelope.loads  # type: ignore[attr-defined]  # an import that the stubs leave out
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), f"{__name__}:Transport"))
