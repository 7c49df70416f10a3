"""MCP costs nothing until it is switched on, and says in one sentence what is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from typing import Any

import pytest

import settings
from tests.harness import patient


def served(code: str, **environ: str) -> list[Any]:
    """Run a snippet beside the web application; return what it prints as JSON."""
    before = "from starlette.testclient import TestClient\nimport json, sys, importlib.util\n"
    done = subprocess.run(
        [sys.executable, "-c", before + textwrap.dedent(code)],
        cwd=settings.ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=patient(60),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


SHOW = """
    from web.app import app
    client = TestClient(app, base_url="http://127.0.0.1")
    answer = client.post("/mcp", json={}, headers={"Authorization": "Bearer token-0123456789"})
    print(json.dumps([answer.status_code, answer.json().get("detail", ""), "mcp" in sys.modules]))
"""


def test_it_is_off_and_loads_nothing_unless_it_is_switched_on() -> None:
    assert served(SHOW)[-1] == [404, "", False]
    assert served(SHOW, MCP="on", API_TOKENS="me:token-0123456789")[-1][2] is True


def test_without_the_extra_one_sentence_says_what_to_install() -> None:
    missing = 'real = importlib.util.find_spec\nimportlib.util.find_spec = lambda name, *a: None if name == "mcp" else real(name, *a)\n'

    *log, (status, detail, loaded) = served(missing + textwrap.dedent(SHOW), MCP="on", API_TOKENS="me:token-0123456789")

    assert (status, loaded) == (503, False)
    assert "pip install 'gatehouse[mcp]'" in detail
    assert [line["event"] for line in log if line["level"] == "error"] == ["mcp is not installed"]


@pytest.mark.parametrize("value", ["yes", "1"])
def test_another_value_is_refused(value: str) -> None:
    with pytest.raises(settings.SettingsError, match="on, off"):
        settings.read({"MCP": value})
