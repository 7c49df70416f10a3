"""The transport of RabbitMQ: kombu's own, except that every publish is confirmed within a deadline.

A server that is stopped, or behind a cut line, takes what is sent to it and answers nothing. kombu then loses messages
without a word, or waits for ever for the confirmation, and the worker's loop with it. Here the connection is given up
after `CONFIRM_TIMEOUT`: it cannot be used again, because a late confirmation would be taken for that of the next message.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import amqp
import structlog
from amqp.method_framing import frame_handler
from kombu.transport import TRANSPORT_ALIASES, pyamqp

from gatekeeper.redact import describe
from workers.envelope import MAX_MESSAGE_LENGTH, log_dropped
from workers.rabbitmq.config import CONFIRM_TIMEOUT

log = structlog.get_logger("gatehouse.broker")

#: A frame with the properties of a message, and the bytes before them: class, weight and size of the body.
_HEADER_FRAME = 2
_BEFORE_PROPERTIES = 12
_NO_PROPERTIES = b"\x00\x00"
#: The errors of properties that another program wrote: RabbitMQ passes them on as they are.
_UNREADABLE = (UnicodeDecodeError, amqp.FrameSyntaxError, struct.error, RecursionError, OverflowError)
#: A content type that no worker accepts.
_REFUSED = "application/x-refused"


class NotConfirmed(amqp.RecoverableConnectionError):
    """Raised when RabbitMQ did not confirm a message in time; whether it has the message is not known."""


class ConfirmingChannel(pyamqp.Channel):
    """A channel whose publishes are confirmed in time, and that decodes no message before its size is known."""

    connection: Any

    def basic_publish_confirm(self, *args: Any, **options: Any) -> Any:
        """Publish a message and wait for its confirmation; give the connection up if it does not come."""
        connection = self.connection
        options["confirm_timeout"] = options.get("confirm_timeout") or CONFIRM_TIMEOUT
        try:
            return super().basic_publish_confirm(*args, **options)
        except OSError as error:  # a timeout, too
            if connection is not None:
                connection.collect()
            raise NotConfirmed(f"the broker did not confirm a message: {error or 'no answer in time'}") from error

    def message_to_python(self, raw_message: Any) -> Any:
        """Return the message for Celery. One that is too long or compressed keeps neither body nor type, and is dropped."""
        headers = raw_message.properties.get("application_headers") or {}
        length, packed = len(raw_message.body or b""), headers.get("compression")
        if packed or length > MAX_MESSAGE_LENGTH:
            why = "it is compressed" if packed else f"{length} bytes; at most {MAX_MESSAGE_LENGTH}"
            log_dropped(why, str(raw_message.delivery_info.get("routing_key")), "")
            raw_message.body = b""
            raw_message.properties = {"content_type": _REFUSED}
        return super().message_to_python(raw_message)


class TolerantConnection(pyamqp.Connection):
    """A connection that reads messages with broken properties as messages without any."""

    Channel = ConfirmingChannel

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "frame_handler": _tolerant})


def _tolerant(connection: Any, callback: Any) -> Callable[[Any], Any]:
    """Return py-amqp's handler of frames, which no property of a message can break.

    py-amqp raises out of the worker's loop, which ends the worker, and RabbitMQ gives the message to the next one.
    """
    on_frame: Any = frame_handler(connection, callback)

    def handle(frame: Any) -> Any:
        kind, channel, content = frame
        try:
            return on_frame(frame)
        except _UNREADABLE as error:
            if kind != _HEADER_FRAME:
                raise
            log.warning("properties dropped", why=describe(error), hint="look who writes into the broker")
            return on_frame((kind, channel, bytes(content[:_BEFORE_PROPERTIES]) + _NO_PROPERTIES))

    return handle


class ConfirmingTransport(pyamqp.Transport):
    """kombu's transport over these connections."""

    Connection = TolerantConnection


class ConfirmingSSLTransport(pyamqp.SSLTransport):
    """The same with TLS."""

    Connection = TolerantConnection


def install() -> None:
    """Use these transports for every connection to RabbitMQ that is opened from now on."""
    TRANSPORT_ALIASES.update(amqp=f"{__name__}:ConfirmingTransport", amqps=f"{__name__}:ConfirmingSSLTransport")
