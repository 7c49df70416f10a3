"""The table of webhooks: every task exists and every argument fits; a row that cannot work is named with its line."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import settings
import tasks.publisher
import tasks.responder  # noqa: F401  the rows below name its task
from gatekeeper.tables.config_lines import TableError
from tests import senders
from tests.harness import forks
from web.webhooks.field_path import MISSING, FieldPath
from web.webhooks.sources import WebhookSource, read

Table = Callable[[str], ModuleType]
Secrets = Callable[..., None]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Write a table into a file, and return its module."""

    def write(text: str) -> ModuleType:
        path = tmp_path / "webhook_routes.py"
        path.write_text(textwrap.dedent(text).lstrip())
        spec = importlib.util.spec_from_file_location("some_webhook_routes", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return write


def load(table: ModuleType | None = None) -> dict[str, WebhookSource]:
    """Return every source of a table; raise the error of a row that cannot work."""
    found = read(table)
    for refusal in found.refused.values():
        raise refusal
    return found.sources


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Secrets]:
    """Return a function that sets variables of the environment."""

    def put(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        settings.current.cache_clear()

    yield put
    monkeypatch.undo()
    settings.current.cache_clear()


#: Of each source a delivery with a value for each argument.
EXAMPLES: dict[str, dict[str, Any]] = {
    "standard": {
        "type": "message.created",
        "data": {"channel": "chat", "conversation": "c1", "message_id": "m1", "text": "Hello", "sender": "ada"},
    },
    "slack": json.loads(senders.slack_message("Ev1")),
    "telegram": json.loads(senders.telegram_message(1)),
}


def test_every_task_of_the_table_that_ships_exists_and_every_argument_fits() -> None:
    sources = load()

    starts = [(name, event, start) for name, source in sources.items() for event, start in source.starts.items()]
    assert {(name, event) for name, event, _ in starts} == {
        ("standard", "message.created"),
        ("slack", "message"),
        ("telegram", "update.message.text"),
    }
    for name, event, start in starts:
        found = {argument: path.find({}, EXAMPLES[name]) for argument, path in start.arguments.items()}
        assert start.task.contract.bind((), found) == found, (name, event)


def test_a_source_without_a_secret_has_no_key() -> None:
    assert [source.keys for source in load().values()] == [()] * 5


def test_a_source_has_every_secret_of_its_variable(secrets: Secrets) -> None:
    secrets(WEBHOOK_SECRET_GITHUB="one two", WEBHOOK_SECRET_STANDARD="whsec_" + base64.b64encode(b"k" * 32).decode())

    sources = load()

    assert sources["github"].keys == (b"one", b"two")
    assert sources["standard"].keys == (b"k" * 32,)


def test_a_secret_that_cannot_be_one_is_named_by_its_variable_and_not_shown(secrets: Secrets) -> None:
    secrets(WEBHOOK_SECRET_STANDARD="hunter2hunter2")

    with pytest.raises(TableError, match="WEBHOOK_SECRET_STANDARD: it must be whsec_") as refused:
        load()

    assert "hunter2" not in str(refused.value)


ROW = """
    sources = {
        "standard": {
            "scheme": "standard", "event": "body:type", "delivery": "header:webhook-id",
            "start": {},
        },
        "forge": {
            "scheme": "hmac",
            "signature": "X-Signature",
            "event": "body:type",
            "delivery": "body:id",
            "start": {
                "done": {
                    "task": "tasks.publisher.publish",
                    "arguments": {"post_id": "body:post", "destination": "text:feed"},
                },
            },
        },
    }
"""


def test_a_row_becomes_a_source(table: Table) -> None:
    forge = load(table(ROW))["forge"]

    assert (forge.scheme_name, forge.header, forge.rate.text) == ("hmac", "X-Signature", "300/minute")
    assert forge.variable == "WEBHOOK_SECRET_FORGE"
    assert forge.starts["done"].task.name == "tasks.publisher.publish"


@pytest.mark.parametrize(
    ("written", "instead", "line", "why"),
    [
        ('"hmac"', '"md5"', 7, "no scheme 'md5'; there are: standard, github, stripe, slack, telegram, hmac"),
        ('"signature": "X-Signature",', "", 6, "signature is the name of the header"),
        ('"forge"', '"Forge-1"', 6, "write a-z, 0-9 and _"),
        ('"body:id"', '"id"', 10, "'id' is not a field path; write body:"),
        ('"body:id"', '"body:a..b"', 10, "is not a field path"),
        ('"delivery": "body:id"', '"deliveries": "body:id"', 6, "delivery: Field required"),
        (
            '"event": "body:type",\n            "delivery": "body:id"',
            '"event": [], "delivery": "body:id"',
            9,
            "event is empty",
        ),
        ('"X-Signature",', '"X-Signature", "rate": "often",', 8, "'often' is not a rate"),
        ('"tasks.publisher.publish"', '"tasks.publisher.publsh"', 13, "no task 'tasks.publisher.publsh'; there are: "),
        ('"text:feed"', '"feed"', 14, "'feed' is not a field path"),
        (', "destination": "text:feed"', "", 12, "missing a required argument: 'destination'"),
        ('"post_id"', '"post"', 12, "it takes: post_id, destination"),
        ('"arguments"', '"args"', 12, "arguments: Field required"),
    ],
)
def test_a_row_that_cannot_work_is_named_with_its_line(
    table: Table, written: str, instead: str, line: int, why: str
) -> None:
    assert written in ROW

    with pytest.raises(TableError) as refused:
        load(table(ROW.replace(written, instead)))

    assert f"webhook_routes.py, line {line}: " in str(refused.value)
    assert why in str(refused.value)


def answers(folder: Path, *paths: str) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Return the status of a POST to each path of the web process, and its log."""
    code = f"""
        import json, sys
        sys.path.insert(0, {str(folder)!r})
        from starlette.testclient import TestClient
        from web.app import app
        client = TestClient(app, base_url="http://127.0.0.1")
        print("answers", json.dumps({{path: client.post(path, json={{}}).status_code for path in {paths!r}}}))
        print("answers", json.dumps(client.get("/healthz").status_code))
    """
    done = run(code)
    lines = done.stdout.splitlines()
    told = [json.loads(line.removeprefix("answers ")) for line in lines if line.startswith("answers ")]
    assert told, done.stderr
    assert told[1] == 200
    return told[0], [json.loads(line) for line in lines if line.startswith("{")]


def run(code: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "WEBHOOK_SECRET_FORGE": "secret", "WEBHOOK_SECRET_GOOD": "secret"}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return forks.run(command, cwd=settings.ROOT, env=env)


GOOD_AND_BAD = textwrap.dedent(ROW).lstrip().replace('"standard":', '"good":').replace('"hmac"', '"md5"')


def test_a_row_that_cannot_work_closes_its_own_webhook_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "webhook_routes.py").write_text(GOOD_AND_BAD.replace('"scheme": "standard"', '"scheme": "github"'))

    statuses, log = answers(tmp_path, "/hooks/good", "/hooks/forge", "/hooks/strange")

    assert statuses == {"/hooks/good": 401, "/hooks/forge": 503, "/hooks/strange": 404}
    [told] = [line for line in log if line["event"] == "webhook row refused"]
    assert told["error"].startswith("webhook_routes.py, line 7: 'forge': there is no scheme 'md5'")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sources = [1]", "webhook_routes.py: sources is a list; write sources = {"),
        ("source = {}", "webhook_routes.py: there is no sources; write sources = {"),
        ("sources = {\n    'a': {", "webhook_routes.py, line 2: '{' was never closed"),
        ("sources = {}\n1 / 0", "webhook_routes.py, line 2: ZeroDivisionError: division by zero"),
    ],
)
def test_a_table_that_cannot_be_read_closes_every_webhook_and_nothing_else(
    tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "webhook_routes.py").write_text(text)

    statuses, log = answers(tmp_path, "/hooks/good")

    assert statuses == {"/hooks/good": 503}
    [told] = [line for line in log if line["event"] == "webhooks refused"]
    assert says in told["error"]


def test_before_everything_starts_every_row_that_cannot_work_is_named(tmp_path: Path) -> None:
    (tmp_path / "webhook_routes.py").write_text(GOOD_AND_BAD.replace('"delivery": "header:webhook-id"', '"d": ""'))
    (tmp_path / "beat_schedule.py").write_text("schedule = {\n    'bad': {'cron': 'x'},\n}\n")

    done = run(
        f"import sys, runpy; sys.path.insert(0, {str(tmp_path)!r}); runpy.run_module('web.validate_config', run_name='__main__')"
    )

    assert done.returncode == 1
    places = [line.partition(": ")[2].partition("'")[0] for line in done.stderr.splitlines()]
    assert places == [
        "beat_schedule.py, line 2: entry ",
        "webhook_routes.py, line 2: ",
        "webhook_routes.py, line 7: ",
    ]


def test_the_table_of_the_documentation_works(table: Table) -> None:
    page = (settings.ROOT / "docs" / "webhooks.md").read_text()
    text = page.partition("```python\n")[2].partition("```")[0]

    assert "post.approved" in load(table(text))["forge"].starts


def test_every_status_of_a_webhook_is_in_the_documentation() -> None:
    modules = ("webhooks/receive", "body", "blocking")
    code = "".join((settings.ROOT / "web" / f"{name}.py").read_text() for name in modules)
    page = (settings.ROOT / "docs" / "webhooks.md").read_text()

    for status in re.findall(r"HTTPException\(\s*(\d+)", code):
        assert f"\n| {status} |" in page, status


# Field paths

BODY = {"type": "t", "data": {"items": [{"id": 7}, None], "null": None, "flag": True, "half": 0.5}}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("body:type", "t"),
        ("body:data.items.0.id", 7),
        ("body:data.items.1", None),
        ("body:data.null", None),
        ("body:data.items.2", MISSING),
        ("body:data.items.-1", MISSING),
        ("body:data.items.\u0663", MISSING),
        ("body:data.items.first", MISSING),
        ("body:data.null.more", MISSING),
        ("body:type.more", MISSING),
        ("header:x-event", "push"),
        ("header:x-other", MISSING),
        ("text:feed: the local one", "feed: the local one"),
        ("string:data.items.0.id", "7"),
        ("string:type", "t"),
        ("string:data.null", None),
        ("string:data.flag", True),
        ("string:data.half", 0.5),
        ("string:data.none", MISSING),
        ("has:data.items.0.id", "data.items.0.id"),
        ("has:data.null", "data.null"),
        ("has:data.none", MISSING),
    ],
)
def test_a_field_is_found_or_missing_and_never_an_error(path: str, found: Any) -> None:
    value = FieldPath.parse(path).find({"x-event": "push"}, BODY)

    assert value is MISSING if found is MISSING else value == found


@pytest.mark.parametrize(
    "text", ["", "type", "body", "body:", "header:", "text:", "json:type", "body:.a", "body:a.", "has:a..b", "string:"]
)
def test_a_text_that_is_not_a_field_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write body:path\.to\.value"):
        FieldPath.parse(text)
