"""The broker's transport: kombu's own, except that it drops queue entries that are not messages.

Every client of Redis can write anything into the list that is a queue. kombu 5.7.0 raises an error of an entry out of
the worker's event loop, which ends the worker, and the entry comes back to the next one. Dropping it loses nothing: the
sweeper sends the message of a registered call again.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import structlog
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis
from kombu.utils import json, uuid
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gatekeeper.redact import clean, describe
from state.errors import RedisAway, StoreError
from state.redis import client as store

log = structlog.get_logger("gatehouse.broker")

#: Characters of one message: arguments have at most 256 Ki, which JSON and base64 may make sixteen times longer.
MAX_MESSAGE_LENGTH = 8 * 1024 * 1024
#: Characters of a dropped message in the log.
MAX_SHOWN = 200


class Unreadable(ValueError):
    """Raised for an entry that is not a message; `text` is the entry, if it is known."""

    def __init__(self, why: str, text: str = "") -> None:
        super().__init__(why)
        self.text = text


def log_dropped(why: str, queue: str, text: str, **known: str) -> None:
    """Log that a message is dropped.

    Args:
        why: What is wrong with it.
        queue: The name of its queue.
        text: The message.
        **known: Fields of the message that could be read.

    """
    begins = clean(text[: 10 * MAX_SHOWN])[:MAX_SHOWN]  # clean before the cut: half a secret is not recognised
    shown = {name: clean(value)[:MAX_SHOWN] for name, value in known.items()}
    log.error(
        "message dropped", why=clean(why), queue=queue, begins=begins, **shown,
        hint="a registered call is sent again by the sweeper; look who writes into the broker",
    )  # fmt: skip


def first_problem(error: ValidationError) -> str:
    """Return the first problem of a validation, without the value."""
    problem = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, problem['loc'])) or 'it'}: {problem['msg']}"


class _Properties(BaseModel):
    """The properties of a message that kombu reads."""

    model_config = ConfigDict(strict=True)

    body_encoding: Literal["base64"] | None = None
    priority: int | None = None
    correlation_id: str | None = None
    reply_to: str | None = None


class _Envelope(BaseModel):
    """The fields of a message that kombu reads; others are not checked."""

    model_config = ConfigDict(strict=True)

    body: str | None = None
    content_type: str | None = Field(None, alias="content-type")
    content_encoding: str | None = Field(None, alias="content-encoding")
    headers: dict[str, Any] | None = None
    properties: _Properties


def check(message: Any) -> None:
    """Raise Unreadable if kombu cannot read this entry as a message."""
    try:
        envelope = _Envelope.model_validate(message)
    except ValidationError as error:
        raise Unreadable(first_problem(error)) from None
    if (envelope.headers or {}).get("compression"):
        raise Unreadable("it is compressed, so its size is not known; send it uncompressed")
    if envelope.properties.body_encoding:
        try:
            base64.b64decode(envelope.body or "", validate=True)
        except ValueError as error:
            raise Unreadable(f"its body is not base64: {error}") from None


def _loads(text: str) -> Any:
    """Parse JSON as kombu does. Raises Unreadable for any error."""
    if len(text) > MAX_MESSAGE_LENGTH:
        raise Unreadable(f"{len(text)} characters; at most {MAX_MESSAGE_LENGTH}", text)
    try:
        return json.loads(text)
    except Exception as error:  # noqa: BLE001 - the decoders of kombu's own types raise any error
        raise Unreadable(f"it is not JSON: {describe(error)}", text) from None


class QoS(kombu_redis.QoS):
    """Kombu's record of delivered messages that are not acknowledged, written and erased without a transaction."""

    channel: Channel

    @contextmanager
    def pipe_or_acquire(self, pipe: Any = None, client: Any = None) -> Iterator[Any]:
        """Yield the pipeline of the caller, or a new one.

        The two commands of a message arrive in one packet. A server that stops between them leaves an index entry without
        a message, which kombu removes, or a message that the sweeper has sent again by then.
        """
        yield pipe or (client or self.channel.kept_client()).pipeline(transaction=False)

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        """Put a message back into its queue. Drop an entry that is not a message: it would block those behind it."""
        try:
            super().restore_by_tag(tag, client, leftmost)
        except (ValueError, TypeError) as error:
            self.reject(tag)
            log_dropped(f"it cannot be put back: {describe(error)}", self.unacked_key, getattr(error, "text", ""))


class Channel(kombu_redis.Channel):
    """A channel that drops entries that are not messages, and treats a restarting or read-only Redis as a lost connection.

    kombu takes such an answer for a programming error: the worker ends, or runs on and consumes nothing. Besides,
    Celery 5.7.0 closes its broker connection after `connection.client` is gone; kombu then asks the missing client for
    its host name, and the AttributeError ends the worker. tests/acceptance/test_redis_restart.py and
    test_redis_killed_under_a_stream.py fail for as long as this is needed and missing.
    """

    QoS = QoS
    client: Any
    connection: Any
    pool: Any
    _kept: Any = None

    def kept_client(self) -> Any:
        """Return the client for all commands but the blocking ones; kombu makes one for each command."""
        if self._kept is None or self._kept.connection_pool is not self.pool:  # a fork or a close gives it another pool
            self._kept = self._create_client()  # type: ignore[attr-defined]  # the stubs leave it out
        return self._kept

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        yield client or self.kept_client()

    def _connparams(self, *args: Any, **options: Any) -> Any:
        if self.connection is None or self.connection.client is None:
            raise RedisAway("the broker connection is gone")
        return super()._connparams(*args, **options)  # type: ignore[misc]  # a private method that the stubs leave out

    def _get_client(self) -> Any:
        return super()._get_client() if self.global_keyprefix else store.Client  # type: ignore[misc]  # a private method that the stubs leave out

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]  # a private method that the stubs leave out
        except Unreadable as error:
            log_dropped(str(error), ", ".join(sorted(self.active_queues)), error.text)
            return True
        except StoreError as error:
            self.client.connection.disconnect()
            raise store.as_away(error) from error


class Transport(kombu_redis.Transport):
    """A transport that drops entries that are not messages."""

    Channel = Channel

    def _deliver(self, message: Any, queue: Any) -> None:
        try:
            check(message)
        except Unreadable as error:
            log_dropped(str(error), queue, json.dumps(message))
            return
        # Messages with one tag would be acknowledged together. A message must go back to the queue it came from.
        message["properties"]["delivery_tag"] = uuid()
        info = message["properties"].get("delivery_info")
        if not self._is_fanout(queue) or not isinstance(info, dict):
            message["properties"]["delivery_info"] = {"exchange": "", "routing_key": queue}
        super()._deliver(message, queue)

    def _is_fanout(self, queue: str) -> bool:
        channels: list[Any] = [channel for channel in self.channels or () if channel]
        return any(queue in channel.active_fanout_queues for channel in channels)


def install() -> None:
    """Use this transport for every connection that is opened from now on."""
    kombu_redis.loads = _loads  # type: ignore[attr-defined]  # an import that the stubs leave out
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), f"{__name__}:Transport"))
