"""The first message of a call, made before the call is registered: one script then registers the call and sends it.

That is one round trip instead of two. It needs the broker and the ledger on one server, and a call without an effect: an
effect's registration must be in the journal before its message is sent.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from kombu.serialization import dumps
from kombu.transport import redis as kombu_redis
from kombu.transport.virtual import Base64
from kombu.utils import json, uuid

import settings
from state.model import Call, Message

_CHANNEL = kombu_redis.Channel
#: How kombu writes a body into a message.
_ENCODE = Base64().encode
_PERSISTENT = 2
#: Options by which the caller says over which connection a message goes.
_OWN_WAY = frozenset({"producer", "publisher", "connection"})


def is_possible(call: Call, delay_ms: int, sending: Collection[str]) -> bool:
    """Return whether the script that registers this call may also send its message, with options of these names."""
    chosen = settings.current()
    is_now = not (call.effect or delay_ms or _OWN_WAY.intersection(sending))
    return is_now and chosen.broker_url == chosen.redis_url


class Recorder:
    """Stands in for kombu's producer: it keeps the message that Celery makes, in the form in which kombu would send it.

    `message` is None if the message does not go straight to a queue.
    """

    def __init__(self) -> None:
        self.message: Message | None = None
        self.connection = self

    def _reraise_as_library_errors(self) -> AbstractContextManager[None]:
        """Return what Celery sends a message inside of; here nothing is sent."""
        return nullcontext()

    def publish(  # noqa: PLR0913 - kombu's signature
        self,
        body: Any,
        *,
        exchange: str,
        routing_key: str,
        serializer: str,
        headers: dict[str, Any],
        delivery_mode: int | None = None,
        priority: int | None = None,
        compression: Any = None,
        expiration: float | None = None,
        declare: Any = None,  # noqa: ARG002 - a worker declares its queues
        retry: Any = None,  # noqa: ARG002
        retry_policy: Any = None,  # noqa: ARG002
        timeout: Any = None,  # noqa: ARG002
        confirm_timeout: Any = None,  # noqa: ARG002
        **properties: Any,
    ) -> None:
        """Keep a message instead of sending it."""
        if exchange or compression or expiration is not None:
            return
        content_type, encoding, text = dumps(body, serializer)
        properties |= {
            "delivery_mode": delivery_mode or _PERSISTENT,
            "delivery_info": {"exchange": "", "routing_key": routing_key},
            "priority": priority or 0,
            "body_encoding": "base64",
            "delivery_tag": uuid(),
        }
        envelope = {
            "body": _ENCODE(text),
            "content-encoding": encoding,
            "content-type": content_type,
            "headers": headers,
            "properties": properties,
        }
        self.message = Message(_list_of(routing_key, priority or 0), json.dumps(envelope))


def _list_of(queue: str, priority: int) -> str:
    """Return the list in Redis that holds the messages of a queue with this priority."""
    steps: Any = _CHANNEL.priority_steps
    step = max(step for step in steps if step <= max(priority, 0))
    return f"{queue}{_CHANNEL.sep}{step}" if step else queue
