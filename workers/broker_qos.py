"""The record of the messages that a worker has taken and not acknowledged."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu.transport import redis as kombu_redis
from kombu.transport import virtual

from gatekeeper.redact import describe
from workers.envelope import log_dropped
from workers.pace import Pace

#: Acknowledgements that are sent in one round trip.
MAX_ACKED = 500


class QoS(kombu_redis.QoS):
    """Kombu's record of delivered messages that are not acknowledged, written and erased without a transaction."""

    channel: Any
    _delivered: OrderedDict[str, Any]
    _dirty: set[str]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._pace = Pace()
        super().__init__(*args, **kwargs)
        #: Tags whose acknowledgement the loop sends with its next script, or by itself.
        self.acked: deque[str] = deque()

    @property
    def prefetch_count(self) -> int:
        """Return how many messages the worker may hold now; kombu sets how many it may hold at any time.

        It does not change while a script is under way: kombu would leave its answer, and the messages in it, unread.
        """
        holds_more = self.channel.loop and (self.channel.is_asking() or self._pace.is_short())
        return self._prefetch_count * (2 if holds_more else 1)

    @prefetch_count.setter
    def prefetch_count(self, count: int) -> None:
        self._prefetch_count = count

    def is_full(self) -> bool:
        """Return whether the worker holds as many messages as it may hold at any time."""
        return 0 < self._prefetch_count <= len(self._delivered) - len(self._dirty)

    @contextmanager
    def pipe_or_acquire(self, pipe: Any = None, client: Any = None) -> Iterator[Any]:
        """Yield the pipeline of the caller, or a new one.

        The two commands of a message arrive in one packet. A server that stops between them leaves an index entry without
        a message, which kombu removes, or a message that the sweeper has sent again by then.
        """
        yield pipe or (client or self.channel.kept_client()).pipeline(transaction=False)

    def note_taken(self, tags: list[str]) -> None:
        """Note messages that the script has noted in Redis: they count as delivered, and go back if the loop breaks."""
        for tag in tags:
            self._pace.taken(tag)
            virtual.QoS.append(self, None, tag)

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note a message that is delivered, in Redis too if the script has not."""
        if delivery_tag in self._delivered:
            virtual.QoS.append(self, message, delivery_tag)
        else:
            self._pace.taken(delivery_tag)
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message; the loop sends that in its next turn. Pools of threads call this in any thread."""
        self._pace.ended(delivery_tag)
        if self.channel.loop is None:
            super().ack(delivery_tag)
            return
        self.acked.append(delivery_tag)
        virtual.QoS.ack(self, delivery_tag)
        self.channel.loop.call_soon(_wake)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        """Drop a message, or put it back into its queue."""
        self._pace.ended(delivery_tag)
        super().reject(delivery_tag, requeue)

    def take_acked(self) -> list[str]:
        """Return tags whose acknowledgement is to be sent now."""
        return [self.acked.popleft() for _ in range(min(len(self.acked), MAX_ACKED))]

    def send_acked(self) -> None:
        """Send the acknowledgements that wait, and wait for the answer."""
        while tags := self.take_acked():
            with self.pipe_or_acquire() as pipe:
                pipe.zrem(self.unacked_index_key, *tags).hdel(self.unacked_key, *tags).execute()

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        """Put a message back into its queue. Drop an entry that is not a message: it would block those behind it."""
        try:
            super().restore_by_tag(tag, client, leftmost)
        except (ValueError, TypeError) as error:
            self.reject(tag)
            log_dropped(f"it cannot be put back: {describe(error)}", self.unacked_key, getattr(error, "text", ""))


def _wake() -> None:
    """Do nothing, in the next turn of the loop: that turn sends what waits."""
