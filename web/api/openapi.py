"""The OpenAPI 3.1 document, made from the table of operations and from the registered tasks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from gatekeeper.policies.spec import TaskSpec, registered
from web.api import idempotency, preference, schemas
from web.api.operation import Operation, Schema
from web.problems import MEDIA_TYPE

JSON = "application/json"
DESCRIPTION = (
    "Call the tasks of Gatehouse, see what became of each call, and decide what waits for a person. "
    "Every request carries a bearer token of API_TOKENS; docs/api.md explains its rights."
)
#: Of a task whose arguments name the call.
OWN_KEY = f"The arguments name the run. {idempotency.NAME} may be sent all the same: the request is then answered as its first was."
#: Every operation may answer so: without a token, without the right, with too many wrong tokens, without the store.
COMMON_PROBLEMS = frozenset({400, 401, 403, 429, 503})
#: Errors that a client may meet again later, and the header that says when.
_LATER = frozenset({409, 429, 503})
#: The operation that stands for one path per task.
_PER_TASK = "/tasks/{name}"

_PARAMETER = re.compile(r"\{(?P<name>\w+)(?::path)?\}")


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the document for these operations."""
    paths: dict[str, dict[str, Any]] = {}
    definitions: dict[str, Schema] = {"Problem": schemas.PROBLEM}
    for each in operations:
        for path, told in _tasks(each) if each.path == _PER_TASK else [(_plain(each.path), _operation(each))]:
            paths.setdefault(path, {})[each.method.lower()] = told
    for spec in registered().values():
        definitions |= _arguments(spec)[1]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Gatehouse", "version": "1", "description": DESCRIPTION},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": definitions,
        },
    }


def _operation(each: Operation) -> dict[str, Any]:
    parameters = [
        _parameter(name, "path", {"type": "string", "minLength": 1}) for name in _PARAMETER.findall(each.path)
    ]
    parameters += [_parameter(name, "query", schema) for name, schema in each.query.items()]
    told: dict[str, Any] = {
        "operationId": each.id,
        "summary": each.summary,
        "parameters": parameters,
        "responses": _answers(each.answers) | _problems(each.problems | COMMON_PROBLEMS),
    }
    if each.body is not None:
        schema = each.body.model_json_schema()
        told["requestBody"] = _body(schema, required="required" in schema or "oneOf" in schema)
    return told


def _tasks(each: Operation) -> Iterable[tuple[str, dict[str, Any]]]:
    """Yield a path for each task, because what its body is depends on its name."""
    for name, spec in sorted(registered().items()):
        arguments, _ = _arguments(spec)
        yield (
            f"/tasks/{name}",
            _operation(each)
            | {
                "operationId": f"{each.id}.{name}",
                "summary": (spec.body.__doc__ or f"Call {name}").strip().partition("\n")[0],
                "description": OWN_KEY if spec.has_key else "",
                "parameters": _headers(spec),
                "requestBody": _body(arguments, required="required" in arguments),
            },
        )


def _arguments(spec: TaskSpec) -> tuple[Schema, dict[str, Schema]]:
    """Return the schema of a task's arguments, and the definitions that it refers to, by their names in this document."""
    place = f"{spec.name}."
    text = json.dumps(spec.contract.schema).replace('"#/$defs/', f'"#/components/schemas/{place}')
    schema: Schema = json.loads(text)
    definitions = schema.pop("$defs", {})
    return schema, {f"{place}{name}": definition for name, definition in definitions.items()}


def _headers(spec: TaskSpec) -> list[dict[str, Any]]:
    prefer = _parameter("Prefer", "header", {"type": "string"}, f"`wait=SECONDS`, {preference.MAX_WAIT} at most")
    if spec.has_key:
        return [prefer]
    key = {"type": "string", "pattern": idempotency.PATTERN}
    about = "Names the call: a second request with it is the same call. A UUID is best."
    return [_parameter(idempotency.NAME, "header", key, about) | {"required": True}, prefer]


def _parameter(name: str, place: str, schema: Schema, about: str = "") -> dict[str, Any]:
    told = {"name": name, "in": place, "required": place == "path", "schema": schema}
    return told | ({"description": about} if about else {})


def _body(schema: Schema, *, required: bool) -> dict[str, Any]:
    return {"required": required, "content": {JSON: {"schema": schema}}}


def _answers(answers: Mapping[int, tuple[str, Schema]]) -> dict[str, Any]:
    return {
        str(status): {"description": about, "content": {JSON: {"schema": schema}}}
        for status, (about, schema) in answers.items()
    }


def _problems(statuses: Iterable[int]) -> dict[str, Any]:
    return {str(status): _problem(status) for status in sorted(statuses)}


def _problem(status: int) -> dict[str, Any]:
    told: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status in _LATER:
        told["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "required": status != 409}}  # noqa: PLR2004
    return told


def _plain(path: str) -> str:
    """Return a path as OpenAPI writes it."""
    return _PARAMETER.sub(r"{\g<name>}", path)
