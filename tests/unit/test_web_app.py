"""Answers of the web process when something fails on the server: no detail leaks, and nothing is half accepted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import settings
from tests import senders

TABLE = """
sources = {
    "forge": {
        "scheme": "github", "event": "text:push", "delivery": "header:X-GitHub-Delivery",
        "start": {"push": {"task": "tasks.publisher.publish", "arguments": {"post_id": "text:a", "destination": "text:feed"}}},
    },
}
"""


def run(folder: Path, code: str) -> Any:
    """Run code with a client of the web process in a process of its own; return the JSON value of `answer`."""
    (folder / "webhook_routes.py").write_text(TABLE)
    program = f"""
import json, sys
sys.path.insert(0, {str(folder)!r})
from starlette.testclient import TestClient
from web.app import app
client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
{textwrap.dedent(code)}
print("answer", json.dumps([answer.status_code, dict(answer.headers), answer.json()]))
"""
    env = {
        **os.environ,
        "STATE_DIR": str(folder / "state"),
        "PUBLIC_DIR": str(folder / "public"),
        "WEBHOOK_SECRET_FORGE": "secret",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=settings.ROOT, env=env, capture_output=True, text=True, check=False
    )
    answers = [line.removeprefix("answer ") for line in done.stdout.splitlines() if line.startswith("answer ")]
    assert answers, done.stderr
    return json.loads(answers[0])


def test_a_bug_is_500_without_its_text_and_with_the_security_headers(tmp_path: Path) -> None:
    status, headers, content = run(
        tmp_path,
        """
        from starlette.routing import Route
        def fail(request):
            raise RuntimeError("hunter2")
        app.router.routes.append(Route("/bug", fail))
        answer = client.get("/bug")
        """,
    )

    assert (status, content["title"]) == (500, "Internal Server Error")
    assert "hunter2" not in json.dumps(content)
    assert headers["content-type"] == "application/problem+json"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_a_delivery_whose_address_cannot_be_signed_is_503_and_not_accepted(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "secrets").write_text("a file where a folder must be")
    signed = senders.github("secret", b"{}", "d1")

    status, headers, content = run(
        tmp_path,
        f"""
        from workers import app as celery
        celery.accept = None  # a call of it would be a 500
        answer = client.post("/hooks/forge", content=b"{{}}", headers={signed!r})
        """,
    )

    assert status == 503, content
    assert "cannot sign addresses" in content["detail"]
    assert int(headers["retry-after"]) >= 1


def test_a_page_whose_signature_cannot_be_checked_is_503_and_not_shown(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "secrets").write_text("a file where a folder must be")

    status, _, content = run(tmp_path, 'answer = client.get("/calls/hook:forge:d1?sig=guess")')

    assert status == 503, content
    assert set(content) == {"type", "title", "status", "detail"}
