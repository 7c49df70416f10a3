"""The sources of webhooks: the rows of `webhook_routes.py`, validated, with the secrets of each source."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, model_validator

import settings
from gatekeeper.errors import UnknownTask
from gatekeeper.policies.policy import Rate
from gatekeeper.policies.spec import TaskSpec, find
from gatekeeper.tables import config_lines
from gatekeeper.tables.config_lines import TableError
from web.webhooks.field_path import FieldPath
from web.webhooks.signatures import SCHEMES
from web.webhooks.signed import BadSecret, Key, Scheme, Signed

#: Far above what a person's tools send, and low enough that a faulty sender does not fill the queue of a small server.
DEFAULT_RATE = "300/minute"


def _task(name: Any) -> TaskSpec:
    try:
        return find(str(name))
    except UnknownTask as error:
        raise ValueError(str(error)) from None


def _name(given: Any) -> str:
    if not isinstance(given, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", given):
        raise ValueError("the name of a source is part of an address and of a variable; write a-z, 0-9 and _")
    return given


def _scheme(given: Any) -> str:
    if str(given) not in SCHEMES:
        raise ValueError(f"there is no scheme {given!r}; there are: {', '.join(SCHEMES)}")
    return str(given)


def _paths(given: Any) -> list[FieldPath]:
    if not given:
        raise ValueError("event is empty; write the field path of the event's type")
    return [FieldPath.parse(text) for text in (given if isinstance(given, list) else [given])]


_Path = Annotated[FieldPath, PlainValidator(FieldPath.parse)]


class _RouteRow(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Start(_RouteRow):
    """The task that an event starts, and where the delivery has each of its arguments."""

    task: Annotated[TaskSpec, PlainValidator(_task)]
    arguments: dict[str, _Path]

    @model_validator(mode="after")
    def _check_arguments(self) -> Self:
        contract = self.task.contract
        try:
            contract.signature.bind(**self.arguments)
        except TypeError as error:
            takes = ", ".join(contract.parameters) or "nothing"
            raise ValueError(f"{self.task.name}: {error}; it takes: {takes}") from None
        return self


class WebhookSource(_RouteRow):
    """One sender: its row of the table. Without a key nothing from it is accepted."""

    name: Annotated[str, PlainValidator(_name)] = Field(alias="the source's name")
    scheme_name: Annotated[str, PlainValidator(_scheme)] = Field(alias="scheme")
    header: str = Field("", alias="signature")
    event: Annotated[list[FieldPath], PlainValidator(_paths)]
    delivery: _Path
    rate: Annotated[Rate, PlainValidator(Rate)] = Rate(DEFAULT_RATE)
    starts: dict[str, Start] = Field(alias="start")

    @model_validator(mode="after")
    def _check_secrets(self) -> Self:
        if (self.scheme_name == "hmac") != bool(self.header):
            raise ValueError("signature is the name of the header with the signature, for the scheme 'hmac' only")
        try:
            self.keys  # noqa: B018 - reads the secrets
        except BadSecret as error:
            raise ValueError(f"{self.variable}: {error}") from None
        return self

    @property
    def variable(self) -> str:
        """The name of the environment variable that holds this source's secrets."""
        return f"WEBHOOK_SECRET_{self.name.upper()}"

    @property
    def scheme(self) -> Scheme:
        return SCHEMES[self.scheme_name]

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        secrets = settings.current().webhook_secrets.get(self.name, ())
        return tuple(self.scheme.key(secret) for secret in secrets)

    def verify(self, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        """Return the headers to rely on; raise BadSignature unless one of this source's secrets signed this body."""
        return self.scheme.verify(Signed(headers, body, self.keys, self.header))


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
    # A row does not hold its own name, so no field of it has this one.
    row = {**content, "the source's name": name} if isinstance(content, Mapping) else content
    try:
        return WebhookSource.model_validate(row)
    except ValidationError as error:
        problem = error.errors()[0]
        loc = [str(part) for part in problem["loc"]]
        ours = problem.get("ctx", {}).get("error")
        why = str(ours) if ours else f"{'.'.join(loc)}: {problem['msg']}"
        raise config_lines.refusal(table, [name, *loc], repr(name), why) from None
