"""A browser at the desk, which runs in this process on the session's server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
from httpx2 import Response
from lxml import html
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

import settings
from state import decision_link, sign_ins
from tests.desk.shelf import Shelf
from tests.harness import Valkey
from web import hosts
from web.desk import routes
from web.guard import Guard

#: Where the browser of the tests believes to be; it sends no other sign that it is one.
HERE = "http://127.0.0.1:8000"
PASSWORD = "correct horse battery"

Visitor = Callable[..., TestClient]


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("STATE_DIR", "CONTENT_DIR", "PUBLIC_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("PUBLIC_URL", HERE)
    monkeypatch.delenv("DESK_PASSWORD", raising=False)
    forget_settings()
    yield
    monkeypatch.undo()
    forget_settings()


def forget_settings() -> None:
    for cached in (settings.current, hosts._our_names, decision_link._key, sign_ins._key):
        cached.cache_clear()


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> str:
    """The desk has this password."""
    monkeypatch.setenv("DESK_PASSWORD", PASSWORD)
    forget_settings()
    return PASSWORD


@pytest.fixture
def visitor(valkey: Valkey) -> Visitor:
    """Open a browser: `visitor()` on this machine, `visitor(address="203.0.113.7")` elsewhere. It follows no redirect."""

    def browser(base_url: str = HERE, address: str = "127.0.0.1", **headers: str) -> TestClient:
        app = Starlette(routes=routes.routes(), middleware=[Middleware(Guard)])
        sent = {"accept": "text/html", "sec-fetch-site": "same-origin"} | headers
        return TestClient(app, base_url, headers=sent, follow_redirects=False, client=(address, 50_000))

    return browser


@pytest.fixture
def browser(visitor: Visitor) -> TestClient:
    """A browser on this machine."""
    return visitor()


def sign_in(browser: TestClient, name: str = "Ada", password: str = PASSWORD) -> TestClient:
    """Sign in; return the same browser."""
    answer = browser.post("/sign-in", data={"name": name, "password": password})
    assert answer.status_code == 303, answer.text
    return browser


@pytest.fixture
def shelf(valkey: Valkey) -> Shelf:
    """An agent whose keys wait for a person."""
    return Shelf(valkey.client())


def form_of(page: str, of: str = "", text: str = "") -> dict[str, str]:
    """Return the hidden fields of a form: of the card that has this text, or of the form with this path of lxml."""
    found = html.fromstring(page).xpath(of or "//article//form[@class='decision']")
    form = next(each for each in found if text in each.getparent().text_content())
    return {field.get("name"): field.get("value") for field in form.xpath(".//input[@type='hidden']")}


def heading(page: str) -> str:
    return str(html.fromstring(page).xpath("string(//h1)"))


def said(browser: TestClient, answer: Response) -> str:
    """Return what the page says to which a form led."""
    assert answer.status_code == 303, answer.text
    page = browser.get(urljoin(str(answer.url), answer.headers["location"]))
    return str(html.fromstring(page.text).xpath("string(//p[@class='said'])"))
