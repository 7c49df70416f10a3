"""One operation of the API: its route, and what the OpenAPI document says of it, in one place."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api_token import ApiToken
from web import blocking, body, problems
from web.api import access

Schema = dict[str, Any]

#: The answers change from one moment to the next, and may be a program's secret.
NO_STORE = {"Cache-Control": "no-store"}


class ApiBody(BaseModel):
    """The body of a request; a field that is not known is refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


@dataclass(frozen=True)
class Asked:
    """One request whose token has the right to it."""

    request: Request
    token: ApiToken
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None  #: an instance of the operation's `body`

    def path(self, name: str) -> str:
        return str(self.request.path_params[name])


@dataclass(frozen=True)
class Operation:
    """One method of one path. `right` is what a token needs; empty if `serve` itself asks for more than a token."""

    id: str
    method: str
    path: str  #: as Starlette writes it
    summary: str
    serve: Callable[[Asked], Awaitable[Response]]
    answers: Mapping[int, tuple[str, Schema]]  #: status → what it means, and the schema of its body
    right: str = ""
    problems: frozenset[int] = frozenset()  #: statuses of errors, besides those of every operation
    query: Mapping[str, Schema] = field(default_factory=dict)
    body: type[ApiBody] | None = None

    async def respond(self, request: Request) -> Response:
        """Answer one request."""
        token = access.authenticate(request)
        if self.right:
            access.require(token, self.right)
        query = self._read_query(request)
        return await self.serve(Asked(request, token, query, await self._read_body(request)))

    def route(self) -> Route:
        return Route(self.path, self.respond, methods=[self.method], name=f"api.{self.id}")

    def _read_query(self, request: Request) -> dict[str, str]:
        """Return the query's parameters; raise HTTPException 400 for one that is unknown or given twice."""
        given = request.query_params.multi_items()
        for name, _ in given:
            if name not in self.query:
                known = ", ".join(self.query) or "none"
                raise HTTPException(400, f"there is no query parameter {name[:80]!r} here; there are: {known}")
        if len({name for name, _ in given}) < len(given):
            raise HTTPException(400, "a query parameter is given more than once")
        return dict(given)

    async def _read_body(self, request: Request) -> ApiBody | None:
        if self.body is None:
            return None
        content = await body.read_object(request)
        try:
            return self.body.model_validate(content)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False, include_context=False)
            raise unfit({".".join(map(str, each["loc"])): each["msg"] for each in found}) from None


class ApiAnswer(Response):
    """A value as JSON in ASCII, as the commands write it: any text that the store holds can be sent."""

    media_type = "application/json"

    def __init__(self, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        content = json.dumps(value, default=str, allow_nan=False)
        super().__init__(content, status, NO_STORE | dict(headers or {}))


def in_thread(read: Callable[[Asked], Any]) -> Callable[[Asked], Awaitable[Response]]:
    """Return what serves an operation whose answer a function reads from the store."""

    async def serve(asked: Asked) -> Response:
        return await blocking.call_store(lambda: ApiAnswer(read(asked)))

    return serve


def unfit(fields: Mapping[str, str], detail: str = "") -> problems.Problem:
    """Return the error for a body with wrong fields."""
    told = [{"field": name, "problem": problem} for name, problem in fields.items()]
    words = detail or "; ".join(f"{name or 'the body'}: {problem}" for name, problem in fields.items())
    return problems.Problem(422, words, {"errors": told})
