"""The OpenAPI document: it has every route of the API, and every schema in it can be read."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from starlette.routing import Route

import workers  # noqa: F401  loads the agents
from gatekeeper.policies.spec import registered
from settings import ROOT
from tests.harness import forks
from web.api import openapi
from web.api.routes import OPERATIONS, routes


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(openapi.document(OPERATIONS)))
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            yield path, method, told


def schemas(value: Any) -> Iterator[dict[str, Any]]:
    """Every value of a `schema` anywhere in it."""
    if isinstance(value, list):
        for each in value:
            yield from schemas(each)
    if isinstance(value, dict):
        for name, each in value.items():
            if name == "schema":
                yield each
            else:
                yield from schemas(each)


def test_every_route_of_the_api_is_in_the_document(document: dict[str, Any]) -> None:
    served = [
        (route.path.replace(":path}", "}"), method)
        for route in routes()
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    ]
    told = {(path, method.upper()) for path, method, _ in operations(document)}

    assert len(served) == len(OPERATIONS)
    for path, method in served:
        paths = [f"/tasks/{name}" for name in registered()] if path == "/tasks/{name}" else [path]
        assert {(each, method) for each in paths} <= told


def test_every_address_of_the_api_in_the_web_process_is_in_the_table(tmp_path: Path) -> None:
    code = "import json; from web.app import app; print(json.dumps([route.path for route in app.routes]))"
    env = {**os.environ, "STATE_DIR": str(tmp_path / "state"), "PUBLIC_DIR": str(tmp_path / "public")}
    done = forks.run([sys.executable, "-c", code], cwd=ROOT, env=env)
    served = json.loads(done.stdout.splitlines()[-1])

    api = [path for path in served if path.startswith(("/api", "/tasks"))]
    assert sorted(api) == sorted(operation.path for operation in OPERATIONS)


def test_every_task_is_in_the_document_with_its_arguments(document: dict[str, Any]) -> None:
    publish = document["paths"]["/tasks/tasks.publisher.publish"]["post"]
    schema = publish["requestBody"]["content"]["application/json"]["schema"]

    assert {path for path in document["paths"] if path.startswith("/tasks/")} == {
        f"/tasks/{name}" for name in registered()
    }
    assert sorted(schema["required"]) == ["destination", "post_id"]
    assert schema["properties"]["destination"]["enum"] == ["feed", "mastodon", "threads"]
    assert schema["additionalProperties"] is False


def test_a_task_without_a_key_of_its_own_requires_an_idempotency_key(document: dict[str, Any]) -> None:
    required = {
        path: any(each["name"] == "Idempotency-Key" and each["required"] for each in told["parameters"])
        for path, _, told in operations(document)
        if path.startswith("/tasks/")
    }

    assert required == {f"/tasks/{name}": not spec.has_key for name, spec in registered().items()}


def test_every_operation_has_a_name_of_its_own_and_tells_its_errors(document: dict[str, Any]) -> None:
    names = [told["operationId"] for _, _, told in operations(document)]

    assert len(set(names)) == len(names)
    for path, _, told in operations(document):
        assert {"400", "401", "403", "429", "503"} <= set(told["responses"]), path
        assert "200" in told["responses"], path


def test_every_schema_can_be_read_and_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    components = document["components"]["schemas"]
    for schema in [*schemas(document["paths"]), *components.values()]:
        jsonschema_rs.validator_for({**schema, "components": {"schemas": components}})
    for name in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)):
        assert name in components
    assert "#/$defs/" not in json.dumps(document)


def test_every_parameter_of_a_path_is_told(document: dict[str, Any]) -> None:
    for path, _, told in operations(document):
        named = {each["name"] for each in told["parameters"] if each["in"] == "path"}
        assert named == set(re.findall(r"\{(\w+)\}", path)), path
