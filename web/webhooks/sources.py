"""The routes: the rows of `webhook_routes.py`, checked, with the secrets of their sources."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

import settings
from gatekeeper.errors import PolicyError
from gatekeeper.policies.policy import Rate
from gatekeeper.policies.spec import TaskSpec, registered
from gatekeeper.tables import config_lines
from web.webhooks.field_path import FieldPath, PlaceError
from web.webhooks.signatures import SCHEMES, BadSecret, Signed

#: Far above what a person's tools send, low enough that a sender gone wild does not fill the queue of a small server.
DEFAULT_RATE = "300/minute"

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


class RouteError(ValueError):
    """Raised when a row of the table cannot work; says in which line, and why."""


class _Start(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    arguments: dict[str, str]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    scheme: str
    signature: str = ""
    event: str | list[str]
    delivery: str
    rate: str = DEFAULT_RATE
    start: dict[str, _Start]


@dataclass(frozen=True)
class Start:
    """Which task an event starts, and where its arguments stand."""

    gate: TaskSpec
    arguments: Mapping[str, FieldPath]


@dataclass(frozen=True)
class WebhookSource:
    """One sender. Without a key nothing from it is accepted."""

    name: str
    scheme: str
    header: str
    keys: tuple[bytes, ...]
    event: Sequence[FieldPath]
    delivery: FieldPath
    rate: Rate
    starts: Mapping[str, Start]

    @property
    def variable(self) -> str:
        return variable(self.name)

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Raise BadSignature unless one of this source's secrets signed these bytes."""
        SCHEMES[self.scheme].verify(Signed(headers, body, self.keys, self.header))


def variable(source: str) -> str:
    """The environment variable that holds a source's secrets."""
    return f"WEBHOOK_SECRET_{source.upper()}"


@dataclass(frozen=True)
class Routes:
    """The table as it was read: the sources that can be served, and why each of the others cannot."""

    sources: dict[str, WebhookSource]
    refused: dict[str, RouteError]


def read(table: ModuleType | None = None) -> Routes:
    """The table, with each row judged on its own; raises RouteError if there is no table to read."""
    try:
        table = table or config_lines.load(config_lines.ROUTES)
        rows = config_lines.rows(table, "sources")
    except config_lines.TableError as error:
        raise RouteError(str(error)) from None
    sources: dict[str, WebhookSource] = {}
    refused: dict[str, RouteError] = {}
    for name, row in rows.items():
        try:
            sources[name] = _source(table, name, row)
        except RouteError as error:
            refused[str(name)] = error
    return Routes(sources, refused)


def _source(table: ModuleType, name: Any, given: Any) -> WebhookSource:
    try:
        row = _Row.model_validate(given)
        _check(name, row)
        event = [row.event] if isinstance(row.event, str) else row.event
        places = [FieldPath.read(text) for text in (row.delivery, *event)]
        rate = Rate(row.rate)
    except ValidationError as error:
        problem = error.errors()[0]
        loc = [str(part) for part in problem["loc"]]
        raise _refusal(table, [name, *loc], f"{'.'.join(loc)}: {problem['msg']}") from None
    except (PlaceError, PolicyError, ValueError) as error:
        raise _refusal(table, [name], str(error)) from None
    starts = {event: _start(table, name, event, start) for event, start in row.start.items()}
    keys = _keys(table, name, row.scheme)
    return WebhookSource(name, row.scheme, row.signature, keys, places[1:], places[0], rate, starts)


def _check(name: Any, row: _Row) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError("the name of a source stands in an address and a variable; write a-z, 0-9 and _")
    if row.scheme not in SCHEMES:
        raise ValueError(f"there is no scheme {row.scheme!r}; there are: {', '.join(SCHEMES)}")
    if (row.scheme == "hmac") != bool(row.signature):
        raise ValueError("signature is the name of the header that holds it, with scheme 'hmac' and no other")
    if not row.event:
        raise ValueError("event is empty; write where the event's type stands")


def _start(table: ModuleType, source: str, event: str, row: _Start) -> Start:
    try:
        gate = registered()[row.task]
        arguments = {name: FieldPath.read(text) for name, text in row.arguments.items()}
        gate.contract.signature.bind(**row.arguments)
    except KeyError:
        known = ", ".join(sorted(registered()))
        why = f"there is no task {row.task!r}; there are: {known}"
    except PlaceError as error:
        why = str(error)
    except TypeError as error:
        why = f"{row.task}: {error}; it takes: {', '.join(gate.contract.parameters) or 'nothing'}"
    else:
        return Start(gate, arguments)
    raise _refusal(table, [source, event], why)


def _keys(table: ModuleType, source: str, scheme: str) -> tuple[bytes, ...]:
    secrets = settings.current().webhook_secrets.get(source, ())
    try:
        return tuple(SCHEMES[scheme].key(secret) for secret in secrets)
    except BadSecret as error:
        raise _refusal(table, [source], f"{variable(source)}: {error}") from None


def _refusal(table: ModuleType, names: Sequence[Any], why: str) -> RouteError:
    return RouteError(f"{config_lines.place(table, names)}: {names[0]!r}: {' '.join(why.split())}")
