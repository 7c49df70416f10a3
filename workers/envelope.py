"""The envelope of a message, checked before kombu reads it.

Every client of Redis can write anything into the list that is a queue. kombu 5.7.0 raises an error of an entry out of
the worker's event loop, which ends the worker, and the entry comes back to the next one. Dropping it loses nothing: the
sweeper sends the message of a registered call again.
"""

from __future__ import annotations

import base64
from typing import Any, Literal

import structlog
from kombu.utils import json
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gatekeeper.redact import clean, describe

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


def loads(text: str) -> Any:
    """Parse JSON as kombu does. Raises Unreadable for any error."""
    if len(text) > MAX_MESSAGE_LENGTH:
        raise Unreadable(f"{len(text)} characters; at most {MAX_MESSAGE_LENGTH}", text)
    try:
        return json.loads(text)
    except Exception as error:  # noqa: BLE001 - the decoders of kombu's own types raise any error
        raise Unreadable(f"it is not JSON: {describe(error)}", text) from None
