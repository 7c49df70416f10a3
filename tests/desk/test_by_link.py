"""The link of an alert decides about one key, once, in a name, without signing in; opening it changes nothing."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from state import decision_link
from state.agents import audit
from state.ledger import Ledger
from tests.desk.conftest import Visitor, heading, said
from tests.desk.shelf import Shelf
from tests.scripts.poster import AGENT


def link_to(key: str) -> str:
    waiting = Ledger().waiting_one(AGENT, key)
    assert waiting
    return urlsplit(decision_link.decision_link(AGENT, key, waiting.version)).path


@pytest.fixture
def phone(password: str, visitor: Visitor) -> TestClient:
    """A browser elsewhere that never signed in."""
    return visitor("http://127.0.0.1:8000", "203.0.113.7")


def test_opening_a_link_however_often_changes_nothing(phone: TestClient, shelf: Shelf) -> None:
    key = shelf.in_doubt(payload="y" * 9_000 + " the end")
    path = link_to(key)

    pages = [phone.get(path) for _ in range(3)]
    phone.head(path)

    assert {page.status_code for page in pages} == {200}
    assert "the end" in pages[0].text
    assert heading(pages[0].text).startswith("Did this happen?")
    assert shelf.state(key) == "unknown"


def test_a_link_decides_in_the_name_that_is_given_and_the_audit_says_by_link(phone: TestClient, shelf: Shelf) -> None:
    key = shelf.in_doubt()
    path = link_to(key)

    answer = phone.post(path, data={"verb": "applied", "why": "I see it", "name": "Ada"})

    assert "It is done now." in said(phone, answer)
    assert shelf.state(key) == "done"
    [entry] = audit.read([AGENT], limit=5)
    assert (entry.by, entry.door, entry.what, entry.why) == ("Ada", "link", "applied", "I see it")


def test_a_used_link_says_so_and_leads_to_the_sign_in(phone: TestClient, shelf: Shelf) -> None:
    key = shelf.in_doubt()
    path = link_to(key)
    phone.post(path, data={"verb": "applied", "why": "I see it", "name": "Ada"})

    again = phone.post(path, data={"verb": "not-applied", "why": "no", "name": "Eve"})

    assert again.status_code == 410
    assert heading(phone.get(path).text) == "There is nothing to decide any more"
    assert "Ada said that it is out there: I see it" in again.text
    assert shelf.state(key) == "done"


def test_of_two_links_to_one_key_the_later_one_reads_what_was_decided(phone: TestClient, shelf: Shelf) -> None:
    key = shelf.in_doubt()
    first, second = link_to(key), link_to(key).replace("a", "a")
    waiting = Ledger().waiting_one(AGENT, key)
    assert waiting
    phone.post(first, data={"verb": "cancel", "why": "too old", "name": "Ada"})

    assert phone.post(second, data={"verb": "applied", "why": "x", "name": "Bob"}).status_code in {409, 410}
    assert shelf.state(key) == "cancelled"


@pytest.mark.parametrize("missing", ["name", "why", "verb"])
def test_a_link_whose_form_lacks_something_can_be_used_again(phone: TestClient, shelf: Shelf, missing: str) -> None:
    key = shelf.in_doubt()
    path = link_to(key)
    whole = {"verb": "applied", "why": "I see it", "name": "Ada"}

    assert phone.post(path, data=whole | {missing: " "}).status_code == 422
    assert shelf.state(key) == "unknown"
    assert phone.post(path, data=whole).status_code == 303


def test_a_decision_that_cannot_be_taken_leaves_the_link_usable(phone: TestClient, shelf: Shelf) -> None:
    claim = shelf.poster.claim("hello")
    shelf.poster.cross(claim, '"Hello"')
    shelf.poster.end_lease(claim)
    shelf.poster.reclaim(claim, dead=False)  # its process may still send it
    path = link_to(claim.key)

    refused = phone.post(path, data={"verb": "not-applied", "why": "not there", "name": "Ada"})

    assert refused.status_code == 409
    assert "not proven dead" in refused.text
    assert phone.post(path, data={"verb": "applied", "why": "there", "name": "Ada"}).status_code == 303


def test_a_link_that_nobody_here_made_is_refused(phone: TestClient, shelf: Shelf) -> None:
    path = link_to(shelf.in_doubt())

    assert phone.get(path + "x").status_code == 410
    assert phone.get("/decide/guess").status_code == 410
    assert phone.post("/decide/guess", data={"verb": "applied", "why": "x", "name": "Eve"}).status_code == 410
    assert shelf.state("post:feed:hello") == "unknown"


def test_a_form_of_another_site_cannot_use_a_link(phone: TestClient, shelf: Shelf) -> None:
    key = shelf.in_doubt()
    path = link_to(key)

    answer = phone.post(
        path, data={"verb": "applied", "why": "x", "name": "Eve"}, headers={"sec-fetch-site": "cross-site"}
    )

    assert answer.status_code == 403
    assert shelf.state(key) == "unknown"
