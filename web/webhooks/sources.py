"""The sources of webhooks: the rows of `webhook_routes.py`, validated, with the secrets of each source."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

import settings
from gatekeeper.errors import UnknownTask
from gatekeeper.policies.policy import Rate
from gatekeeper.policies.spec import TaskSpec, find
from gatekeeper.tables import config_lines
from gatekeeper.tables.config_lines import TableError
from web.webhooks.field_path import FieldPath, FieldPathError
from web.webhooks.signatures import SCHEMES, BadSecret, Signed

#: Far above what a person's tools send, and low enough that a faulty sender does not fill the queue of a small server.
DEFAULT_RATE = "300/minute"

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


class _StartRow(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    arguments: dict[str, str]


class _SourceRow(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    scheme: str
    signature: str = ""
    event: str | list[str]
    delivery: str
    rate: str = DEFAULT_RATE
    start: dict[str, _StartRow]


@dataclass(frozen=True)
class Start:
    """The task that an event starts, and where the delivery has each of its arguments."""

    task: TaskSpec
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
        return secret_variable(self.name)

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Raise BadSignature unless one of this source's secrets signed this body."""
        SCHEMES[self.scheme].verify(Signed(headers, body, self.keys, self.header))


def secret_variable(source: str) -> str:
    """Return the name of the environment variable that holds a source's secrets."""
    return f"WEBHOOK_SECRET_{source.upper()}"


@dataclass(frozen=True)
class Routes:
    """The table as it was read: the sources that work, and the reason why each of the others does not."""

    sources: dict[str, WebhookSource]
    refused: dict[str, TableError]


def read(table: ModuleType | None = None) -> Routes:
    """Read the table; a row that cannot work does not affect the others.

    Args:
        table: The module with the table; None for `webhook_routes`.

    Raises:
        TableError: If the table as a whole cannot be read.

    """
    table = table or config_lines.load(config_lines.ROUTES)
    return Routes(*config_lines.read_rows(table, "sources", lambda name, row: _source(table, name, row)))


def _source(table: ModuleType, name: Any, content: Any) -> WebhookSource:
    try:
        row = _SourceRow.model_validate(content)
        _check(name, row)
        events = [row.event] if isinstance(row.event, str) else row.event
        event = [FieldPath.parse(text) for text in events]
        delivery, rate = FieldPath.parse(row.delivery), Rate(row.rate)
    except ValidationError as error:
        problem = error.errors()[0]
        loc = [str(part) for part in problem["loc"]]
        raise _refusal(table, [name, *loc], f"{'.'.join(loc)}: {problem['msg']}") from None
    except ValueError as error:
        raise _refusal(table, [name], str(error)) from None
    starts = {event_type: _start(table, name, event_type, start) for event_type, start in row.start.items()}
    keys = _keys(table, name, row.scheme)
    return WebhookSource(name, row.scheme, row.signature, keys, event, delivery, rate, starts)


def _check(name: Any, row: _SourceRow) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError("the name of a source is part of an address and of a variable; write a-z, 0-9 and _")
    if row.scheme not in SCHEMES:
        raise ValueError(f"there is no scheme {row.scheme!r}; there are: {', '.join(SCHEMES)}")
    if (row.scheme == "hmac") != bool(row.signature):
        raise ValueError("signature is the name of the header with the signature, for the scheme 'hmac' only")
    if not row.event:
        raise ValueError("event is empty; write the field path of the event's type")


def _start(table: ModuleType, source: str, event: str, row: _StartRow) -> Start:
    try:
        task = find(row.task)
        arguments = {name: FieldPath.parse(text) for name, text in row.arguments.items()}
        task.contract.signature.bind(**row.arguments)
    except (UnknownTask, FieldPathError) as error:
        reason = str(error)
    except TypeError as error:
        reason = f"{row.task}: {error}; it takes: {', '.join(task.contract.parameters) or 'nothing'}"
    else:
        return Start(task, arguments)
    raise _refusal(table, [source, event], reason)


def _keys(table: ModuleType, source: str, scheme: str) -> tuple[bytes, ...]:
    secrets = settings.current().webhook_secrets.get(source, ())
    try:
        return tuple(SCHEMES[scheme].key(secret) for secret in secrets)
    except BadSecret as error:
        raise _refusal(table, [source], f"{secret_variable(source)}: {error}") from None


def _refusal(table: ModuleType, names: Sequence[Any], reason: str) -> TableError:
    return config_lines.refusal(table, names, repr(names[0]), reason)
