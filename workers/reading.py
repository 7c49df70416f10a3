"""Checks of task messages, so that Celery gets only well-formed ones; each error is one sentence.

Celery 5.7.0 reads a field where it uses it. A task name that is a list, arguments that are a number or a time limit that
is a text end the worker, the pool's child or a thread of the pool, and the message comes back to the next one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import structlog
from celery.app.task import Context
from kombu.message import Message
from kombu.utils import json
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gatekeeper.policies.spec import registered
from gatekeeper.redact import describe
from gatekeeper.run.arrival import EXPIRES
from gatekeeper.run.known import MAX_ID, is_id
from workers.envelope import Unreadable, first_problem

log = structlog.stdlib.get_logger("gatehouse.broker")

#: Accepted years: others are typing errors, or cannot be counted in seconds on every platform.
YEARS = range(1971, 9999)
#: Parts of a body: arguments, named arguments and followers.
BODY_PARTS = 3


def _check_id(text: str) -> str:
    if not is_id(text):
        raise ValueError(f"not a printable text of 1 to {MAX_ID} characters")
    return text


def _check_time(text: str) -> str:
    if parse_time(text).year not in YEARS:
        raise ValueError("not a time that can be counted in seconds")
    return text


def parse_time(text: str) -> datetime:
    """Parse a time as Celery writes it; without a zone it is UTC. Raises ValueError."""
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


Id = Annotated[str, AfterValidator(_check_id)]
Time = Annotated[str, AfterValidator(_check_time)]
_Limit = Annotated[float, Field(gt=0, allow_inf_nan=False)] | None


class _Headers(BaseModel):
    """The headers that Celery reads; others are not checked."""

    model_config = ConfigDict(strict=True, extra="allow")

    task: Id
    id: Id
    lang: Id | None = None
    root_id: Id | None = None
    parent_id: Id | None = None
    group: Id | None = None
    group_index: int | None = None
    shadow: Id | None = None
    origin: Id | None = None
    argsrepr: str | None = None
    kwargsrepr: str | None = None
    eta: Time | None = None
    expires: Time | None = None
    retries: Annotated[int, Field(ge=0)] | None = None
    timelimit: Annotated[list[_Limit], Field(min_length=2, max_length=2)] | None = None
    ignore_result: bool | None = None
    replaced_task_nesting: int | None = None
    stamped_headers: list[str] | None = None
    stamps: dict[str, Any] | None = None


#: The names of these headers; pydantic computes them anew on each access.
_HEADER_NAMES = frozenset(_Headers.model_fields)


class _Signature(BaseModel):
    model_config = ConfigDict(strict=True)

    task: Id
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    options: dict[str, Any] = {}


class _Embed(BaseModel):
    """The followers of the call. Other names are refused: they would replace attributes of the request, such as its id."""

    model_config = ConfigDict(strict=True, extra="forbid")

    callbacks: list[_Signature] | None = None
    errbacks: list[_Signature] | None = None
    chain: list[_Signature] | None = None
    chord: _Signature | None = None


_Body = TypeAdapter(tuple[list[Any], dict[str, Any], _Embed])


def read(message: Message) -> None:
    """Check a task message, and convert it to the form in which Celery gets it.

    A message of protocol 1 becomes one of protocol 2. Followers in a message for a gated task are removed.

    Args:
        message: The message; its body and headers may be replaced.

    Raises:
        Unreadable: The message is not well formed.

    """
    content, headers = _decoded(message), message.headers
    if isinstance(content, dict) and ("args" in content or "task" not in headers):  # protocol 1
        content, headers = _from_protocol_1(content, headers)
        _replace(message, content)
    if not isinstance(content, list) or len(content) != BODY_PARTS:
        raise Unreadable("its body is not a list of arguments, named arguments and followers")
    try:
        known = _Headers.model_validate(headers)
        _Body.validate_python(tuple(content), strict=True)
    except ValidationError as error:
        raise Unreadable(first_problem(error)) from None
    message.headers = _for_celery(headers, known)
    if known.task in registered():
        _drop_followers(message, content)


def _drop_followers(message: Message, content: list[Any]) -> None:
    """Remove the followers from a message: the register keeps those of a registered call.

    Celery would start them also after a deferral, and after an attempt that is made again. Our application puts no
    followers into a message, so another program made this one.
    """
    args, kwargs, followers = content
    carried = sorted(name for name, value in followers.items() if value)
    if carried:
        _replace(message, [args, kwargs, {}])
        fields = {"task": message.headers["task"], "call": message.headers["id"], "carried": carried}
        log.warning("followers dropped", **fields, hint="make the call through the application of workers/")


def _decoded(message: Message) -> Any:
    if message.content_type != "application/json":
        raise Unreadable(f"its content type is {message.content_type!r}, not application/json")
    try:
        return message.decode()
    except Exception as error:  # noqa: BLE001 - the decoders of kombu's own types raise any error
        raise Unreadable(f"its body cannot be read: {describe(error)}") from None


def _replace(message: Any, content: Any) -> None:
    """Replace the body of a message, encoded and decoded."""
    message.body = json.dumps(content).encode()
    message._decoded_cache = content  # noqa: SLF001 - decode() caches its result there


def _from_protocol_1(content: dict[str, Any], headers: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the body and the headers that protocol 2 has for a message of protocol 1."""
    followers = {name: content.get(name) for name in ("callbacks", "errbacks", "chord")}
    body = [content.get("args", []), content.get("kwargs", {}), followers]
    named = {name: content[name] for name in _HEADER_NAMES if name in content}
    return body, {"group": content.get("taskset"), **named, **headers}


def _for_celery(headers: dict[str, Any], known: _Headers) -> dict[str, Any]:
    """Return the headers without those that would replace attributes of the request.

    The time limit goes, because the task sets its own. The expiry of a message for a gated task moves to a header that
    only the gate reads: Celery would end the call of that id, which may be another call.
    """
    kept = {name: value for name, value in headers.items() if name in _HEADER_NAMES or not hasattr(Context, name)}
    kept.pop("timelimit", None)
    kept.pop(EXPIRES, None)
    if known.expires and known.task in registered():
        kept[EXPIRES] = round(parse_time(known.expires).timestamp() * 1000)
        kept.pop("expires")
    return kept
