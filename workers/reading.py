"""Reading a task message: what Celery gets is well formed, and what cannot be read is said in one sentence.

Celery 5.7.0 reads a message where it is used. A task that is a list, arguments that are a number or a time limit that is a
text end the worker, the pool's child or a thread of the pool, and the message comes back to the next one.
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
from workers.broker import Unreadable, first_problem

log = structlog.stdlib.get_logger("gatehouse.broker")

#: Times outside of these years are slips or the ends of the calendar, which cannot be counted in seconds everywhere.
YEARS = range(1971, 9999)
#: Arguments, named arguments, and what follows the call.
PARTS = 3


def _id(text: str) -> str:
    if not is_id(text):
        raise ValueError(f"not a printable text of 1 to {MAX_ID} characters")
    return text


def _moment(text: str) -> str:
    if moment(text).year not in YEARS:
        raise ValueError("not a time that can be counted in seconds")
    return text


def moment(text: str) -> datetime:
    """A time as Celery writes it; one without a zone is UTC."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


Id = Annotated[str, AfterValidator(_id)]
Moment = Annotated[str, AfterValidator(_moment)]
_Limit = Annotated[float, Field(gt=0, allow_inf_nan=False)] | None


class _Headers(BaseModel):
    """The headers that Celery reads; others stay as they are."""

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
    eta: Moment | None = None
    expires: Moment | None = None
    retries: Annotated[int, Field(ge=0)] | None = None
    timelimit: Annotated[list[_Limit], Field(min_length=2, max_length=2)] | None = None
    ignore_result: bool | None = None
    replaced_task_nesting: int | None = None
    stamped_headers: list[str] | None = None
    stamps: dict[str, Any] | None = None


#: Their names; pydantic looks them up anew each time that it is asked.
_READ = frozenset(_Headers.model_fields)


class _Signature(BaseModel):
    model_config = ConfigDict(strict=True)

    task: Id
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    options: dict[str, Any] = {}


class _Embed(BaseModel):
    """What follows the call. A further name would replace one of the request's own, such as its id."""

    model_config = ConfigDict(strict=True, extra="forbid")

    callbacks: list[_Signature] | None = None
    errbacks: list[_Signature] | None = None
    chain: list[_Signature] | None = None
    chord: _Signature | None = None


_Body = TypeAdapter(tuple[list[Any], dict[str, Any], _Embed])


def read(message: Message) -> None:
    """Check a task message, and bring it into the one form in which Celery gets it; raises Unreadable."""
    content, headers = _decoded(message), message.headers
    if isinstance(content, dict) and ("args" in content or "task" not in headers):  # an older version of the protocol
        content, headers = _of_first_protocol(content, headers)
        _replace(message, content)
    if not isinstance(content, list) or len(content) != PARTS:
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
    """Let Celery start nothing when this message is over: the register knows what follows a call.

    Celery would start it for a call that was only deferred, and for an attempt that is made again. Our own doors put no
    followers into a message, so this one did not come through them.
    """
    args, kwargs, followers = content
    carried = sorted(name for name, value in followers.items() if value)
    if carried:
        _replace(message, [args, kwargs, {}])
        told = {"task": message.headers["task"], "call": message.headers["id"], "carried": carried}
        log.warning("followers dropped", **told, next="make the call through the application of workers/")


def _decoded(message: Message) -> Any:
    if message.content_type != "application/json":
        raise Unreadable(f"its content type is {message.content_type!r}, not application/json")
    try:
        return message.decode()
    except Exception as error:  # noqa: BLE001 - the decoders of kombu's own types raise what they like
        raise Unreadable(f"its body cannot be read: {describe(error)}") from None


def _replace(message: Any, content: Any) -> None:
    """Give a message this body, encoded and decoded."""
    message.body = json.dumps(content).encode()
    message._decoded_cache = content  # noqa: SLF001 - where decoding leaves it


def _of_first_protocol(content: dict[str, Any], headers: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Body and headers as the second protocol has them."""
    followers = {name: content.get(name) for name in ("callbacks", "errbacks", "chord")}
    body = [content.get("args", []), content.get("kwargs", {}), followers]
    named = {name: content[name] for name in _READ if name in content}
    return body, {"group": content.get("taskset"), **named, **headers}


def _for_celery(headers: dict[str, Any], known: _Headers) -> dict[str, Any]:
    """The headers without those that would replace something of the request.

    How long a task may take is its own. When a message for the gate expires is told to the gate: Celery would end the
    call of its id, which may be another one.
    """
    kept = {name: value for name, value in headers.items() if name in _READ or not hasattr(Context, name)}
    kept.pop("timelimit", None)
    kept.pop(EXPIRES, None)
    if known.expires and known.task in registered():
        kept[EXPIRES] = round(moment(known.expires).timestamp() * 1000)
        kept.pop("expires")
    return kept
