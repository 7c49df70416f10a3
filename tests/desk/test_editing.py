"""A person edits what an agent asks to send: texts as fields, everything else stays, and an old page changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lxml import html
from starlette.testclient import TestClient

from gatekeeper.policies import spec
from state.decision_link import key_path
from state.ledger import Ledger
from tests.desk.conftest import form_of, said
from tests.desk.shelf import Shelf
from tests.scripts.poster import AGENT
from web.desk import editing
from web.desk.form import Form

EDIT = "//form[@id='edit']"


@pytest.fixture(autouse=True)
def _known_task(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(spec.registered(), shelf.poster.gate.name, shelf.poster.gate)


def page_of(browser: TestClient, key: str) -> str:
    page = browser.get(key_path(AGENT, key))
    assert page.status_code == 200, page.text
    return page.text


def test_the_texts_of_a_payload_are_fields_and_other_values_are_not(browser: TestClient, shelf: Shelf) -> None:
    key = shelf.asks(payload={"title": "May I?", "body": "Two\nlines \u202e.", "tags": ["a"], "n": 3})

    form = html.fromstring(page_of(browser, key)).xpath(EDIT)[0]

    assert form.xpath(".//input[@name='text.title']/@value") == ["May I?"]
    assert form.xpath("string(.//textarea[@name='text.body'])").lstrip("\n") == "Two\nlines \u202e."
    assert not form.xpath(".//*[@name='text.tags' or @name='text.n']")


@pytest.mark.parametrize(
    ("before", "typed", "after"),
    [
        ({"title": "a", "n": 3, "tags": ["x"]}, {"text.title": "b"}, {"title": "b", "n": 3, "tags": ["x"]}),
        ({"body": "a\r\nb"}, {"text.body": "a\r\nb"}, {"body": "a\r\nb"}),
        ({"body": "a"}, {"text.body": " a\r\n\r\nb "}, {"body": " a\n\nb "}),
        ({"body": "a", "other": "b"}, {"text.body": ""}, {"body": "", "other": "b"}),
        ("a", {"text.": "b"}, "b"),
        ([1, 2], {"json": "[3]"}, [3]),
        ({"n": 1}, {"json": '{"n": 2}'}, {"n": 2}),
    ],
)
def test_what_is_sent_has_the_edited_texts_and_everything_else_as_it_was(
    shelf: Shelf, before: Any, typed: dict[str, str], after: Any
) -> None:
    key = shelf.asks(payload=before)
    found = editing.editor(AGENT, key, "held")
    assert found

    text = editing.payload(found.ticket, Form({name: [value] for name, value in typed.items()}))

    assert json.loads(text) == after


def test_an_edited_text_is_sent_instead_and_both_stay_in_the_story(browser: TestClient, shelf: Shelf) -> None:
    key = shelf.asks(payload="Hello, wrold")
    fields = form_of(page_of(browser, key), EDIT)

    answer = browser.post("/decisions", data=fields | {"verb": "revise", "text.": "Hello, world", "why": "a typo"})

    assert "your text is sent instead" in said(browser, answer)
    assert shelf.state(key) == "waiting"
    found = Ledger().proposal(AGENT, key)
    assert found
    assert json.loads(found.proposal.text) == "Hello, world"
    told = json.dumps(shelf.poster.story(key))
    assert '"before"' in told  # the digest of the text that the agent asked about
    assert "Hello, world" in told


def test_an_edit_of_a_page_that_is_old_changes_nothing(browser: TestClient, shelf: Shelf) -> None:
    key = shelf.asks(payload="Hello")
    fields = form_of(page_of(browser, key), EDIT)
    browser.post("/decisions", data=fields | {"verb": "reject", "why": "no"})

    late = browser.post("/decisions", data=fields | {"verb": "revise", "text.": "Other", "why": "yes"})

    assert late.status_code == 409
    assert shelf.state(key) == "cancelled"


def test_an_edit_that_is_not_json_is_refused(browser: TestClient, shelf: Shelf) -> None:
    key = shelf.asks(payload=[1])
    fields = form_of(page_of(browser, key), EDIT)

    answer = browser.post("/decisions", data=fields | {"verb": "revise", "json": "[1", "why": "x"})

    assert answer.status_code == 422
    assert shelf.state(key) == "held"


def test_a_key_in_doubt_has_nothing_to_edit(browser: TestClient, shelf: Shelf) -> None:
    key = shelf.in_doubt()

    assert 'id="edit"' not in page_of(browser, key)
