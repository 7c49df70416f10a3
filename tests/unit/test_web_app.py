"""Answers of the web process when something fails on the server: no detail leaks, and nothing is half accepted."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from lxml import html

import settings
from tests import senders
from tests.harness import forks

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
    done = forks.run([sys.executable, "-c", program], cwd=settings.ROOT, env=env)
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


# Pages for people

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, dict[str, str], str]]:
    """Return the answers to all requests of this file by `PATH ACCEPT`, from one process with a published post."""
    folder = tmp_path_factory.mktemp("pages")
    asked = [(path, accept) for path in PATHS for accept in ACCEPTED]
    status, _, told = run(
        folder,
        f"""
        from clients.content import post
        from clients.destinations import feed
        feed.publish(post.build({{"id": "hello", "title": "Hello & <you>", "publish_at": "2026-11-01", "body": "Some text."}}))
        found = [client.get(path, headers={{"Accept": accept}}, follow_redirects=False) for path, accept in {asked!r}]
        class answer:
            status_code, headers = 200, {{}}
            json = staticmethod(lambda: [[each.status_code, dict(each.headers), each.text] for each in found])
        """,
    )
    assert status == 200
    return {f"{path} {accept}": each for (path, accept), each in zip(asked, told, strict=True)}


PATHS = (
    "/",
    "/reports/",
    "/feed.xml",
    "/feed.css",
    "/favicon.ico",
    "/nowhere",
    "/posts/no/such",
    "/reports/x.html",
    "/calls/x?sig=y",
)
ACCEPTED = (BROWSER, "*/*", "application/json", "application/json, text/html;q=0.5", "text/html;q=0")


@pytest.mark.parametrize("path", ["/nowhere", "/posts/no/such", "/reports/x.html", "/calls/x?sig=y"])
def test_an_error_is_a_page_for_a_browser_and_problem_json_for_every_other_client(
    answers: dict[str, Any], path: str
) -> None:
    status, headers, text = answers[f"{path} {BROWSER}"]

    assert status in {401, 404}
    assert headers["content-type"] == "text/html; charset=utf-8"
    page = html.fromstring(text)
    assert page.xpath("string(//h1)") in {"Not Found", "Unauthorized"}
    steps = "../" * (path.count("/") - 1) or "./"
    assert {steps, f"{steps}posts/", f"{steps}reports/"} <= set(page.xpath("//a/@href"))
    for accept in ACCEPTED[1:]:
        code, said, problem = answers[f"{path} {accept}"]
        assert (code, said["content-type"]) == (status, "application/problem+json")
        assert json.loads(problem)["status"] == status
        assert said["vary"] == "Accept"


def test_a_place_without_pages_says_that_there_is_nothing_yet(answers: dict[str, Any]) -> None:
    status, _, text = answers[f"/reports/ {BROWSER}"]

    assert (status, html.fromstring(text).xpath("string(//main//div/p)")) == (404, "There is no report yet.")
    assert json.loads(answers["/reports/ */*"][2])["detail"] == "there is no report yet"


def test_the_desk_without_a_password_is_closed_elsewhere_and_leads_to_what_is_public(answers: dict[str, Any]) -> None:
    status, headers, text = answers[f"/ {BROWSER}"]  # the test's client is on no machine

    assert (status, headers["content-type"]) == (403, "text/html; charset=utf-8")
    assert html.fromstring(text).xpath("//footer//a/@href") == ["./posts/", "./reports/", "./feed.xml"]


def test_the_feed_names_its_charset_and_a_style_sheet_of_this_house(answers: dict[str, Any]) -> None:
    _, headers, text = answers["/feed.xml */*"]
    _, shown, _ = answers[f"/feed.xml {BROWSER}"]
    _, style, css = answers["/feed.css */*"]

    assert headers["content-type"] == "application/atom+xml; charset=utf-8"
    assert shown["content-type"] == "application/xml; charset=utf-8"  # a browser offers other types as a download
    assert "style-src 'self'" in shown["content-security-policy"]
    assert '<?xml-stylesheet type="text/css" href="feed.css"?>' in text
    assert style["content-type"] == "text/css; charset=utf-8"
    assert "@import" not in css
    assert css.count("url(") == css.count("@namespace")


def test_every_browser_gets_an_icon(answers: dict[str, Any]) -> None:
    status, headers, _ = answers["/favicon.ico */*"]

    assert (status, headers["content-type"]) == (200, "image/x-icon")
