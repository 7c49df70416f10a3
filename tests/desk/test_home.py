"""The desk: what waits for a person comes first, each with what a decision does, why it waits and what would be sent."""

from __future__ import annotations

import pytest
from lxml import html
from starlette.testclient import TestClient

from tests.desk.conftest import form_of, heading, said
from tests.desk.shelf import Shelf
from tests.harness import until


def card(page: str, of: str = "article") -> str:
    return " ".join(html.fromstring(page).xpath(f"//{of}")[0].text_content().split())


def test_an_empty_desk_says_that_nothing_waits(browser: TestClient) -> None:
    page = browser.get("/").text

    assert heading(page) == "Nothing waits for you"
    assert "The agents work without you" in page


def test_a_card_says_what_each_button_does_why_it_waits_and_what_would_be_sent(
    browser: TestClient, shelf: Shelf
) -> None:
    key = shelf.in_doubt(payload={"title": "Keys before retries", "body": "First line.\n\nSecond.", "tags": ["a", "b"]})

    page = browser.get("/").text

    assert heading(page) == "1 decision waits for you"
    assert html.fromstring(page).xpath("string(//title)") == "(1) Desk · Gatehouse"
    text = card(page)
    for part in ("Did this happen? Keys before retries", "poster", "No answer within 20 s", "Second.", "a, b",
                 "it is done, and never sent again", "it is sent now, exactly as shown", "never sent, whatever became of it",
                 "If nobody decides, it stays here, and it is never sent again by itself"):  # fmt: skip
        assert part in text
    assert f"keys/poster/{key.replace(':', '%3A')}" in page
    assert html.fromstring(page).xpath("//article//button[@name='verb']/@value") == ["applied", "not-applied", "cancel"]


@pytest.mark.parametrize(("verb", "state"), [("applied", "done"), ("not-applied", "waiting"), ("cancel", "cancelled")])
def test_a_button_decides_and_the_next_page_says_what_happened(
    browser: TestClient, shelf: Shelf, verb: str, state: str
) -> None:
    key = shelf.in_doubt()
    fields = form_of(browser.get("/").text)

    answer = browser.post("/decisions", data=fields | {"verb": verb, "why": "I looked"})

    assert shelf.state(key) == state
    assert f"It is {state} now." in said(browser, answer)
    assert browser.get("/").text.count('class="said"') == 0


def test_a_decision_without_a_reason_or_a_button_changes_nothing(browser: TestClient, shelf: Shelf) -> None:
    key = shelf.in_doubt()
    fields = form_of(browser.get("/").text)

    assert browser.post("/decisions", data=fields | {"verb": "applied", "why": " "}).status_code == 422
    assert browser.post("/decisions", data=fields | {"verb": "", "why": "x"}).status_code == 422
    assert browser.post("/decisions", data={"verb": "applied", "why": "x", "card": "[1]"}).status_code == 400
    assert shelf.state(key) == "unknown"


def test_a_second_click_changes_nothing_and_reads_who_was_first(browser: TestClient, shelf: Shelf) -> None:
    key = shelf.in_doubt()
    fields = form_of(browser.get("/").text)
    browser.post("/decisions", data=fields | {"verb": "applied", "why": "it is on the page"})

    late = browser.post("/decisions", data=fields | {"verb": "not-applied", "why": "not there"})

    assert late.status_code == 409
    assert heading(late.text) == "It was not as you saw it any more"
    assert "it is on the page" in late.text
    assert shelf.state(key) == "done"


def test_a_call_that_took_workers_down_can_run_again(browser: TestClient, shelf: Shelf) -> None:
    key = shelf.poison()

    page = browser.get("/").text
    assert "Shall this run again?" in card(page)
    browser.post("/decisions", data=form_of(page) | {"verb": "approve", "why": "memory was low"})

    assert shelf.state(key) in {"queued", "waiting"}


# Approvals


def test_an_approval_tells_until_when_and_what_happens_then(browser: TestClient, shelf: Shelf) -> None:
    shelf.asks(payload={"title": "May I?", "body": "Some words."})

    text = card(browser.get("/").text)

    for part in (
        "Shall this be sent? May I?",
        "until",
        "Some words.",
        "the question expires then, and nothing is sent",
    ):
        assert part in text
    assert html.fromstring(browser.get("/").text).xpath("//article//button[@name='verb']/@value") == [
        "reject", "approve",
    ]  # fmt: skip


@pytest.mark.parametrize(("verb", "state"), [("approve", "waiting"), ("reject", "cancelled")])
def test_an_approval_is_answered(browser: TestClient, shelf: Shelf, verb: str, state: str) -> None:
    key = shelf.asks()

    browser.post("/decisions", data=form_of(browser.get("/").text) | {"verb": verb, "why": "read it"})

    assert shelf.state(key) == state


def test_a_payload_that_is_not_shown_whole_can_be_rejected_and_not_approved(browser: TestClient, shelf: Shelf) -> None:
    shelf.asks(payload="word " * 2_000)

    page = browser.get("/").text

    assert html.fromstring(page).xpath("//article//button[@name='verb']/@value") == ["reject"]
    assert "Read it whole, then approve" in page
    assert not html.fromstring(page).xpath("//input[@name='pick']")


def test_effects_in_doubt_come_before_approvals_and_are_never_decided_together(
    browser: TestClient, shelf: Shelf
) -> None:
    asked = [shelf.asks(f"ask-{number}") for number in range(3)]
    doubt = shelf.in_doubt("last")

    tree = html.fromstring(browser.get("/").text)

    assert [each.get("class") for each in tree.xpath("//article")] == ["card doubt", *["card approval"] * 3]
    assert len(tree.xpath("//input[@name='pick']")) == len(asked)
    assert not tree.xpath("//article[@class='card doubt']//input[@name='pick']")
    assert shelf.state(doubt) == "unknown"


def test_several_approvals_are_answered_at_once_and_one_that_was_decided_meanwhile_is_told(
    browser: TestClient, shelf: Shelf
) -> None:
    asked = [shelf.asks(f"ask-{number}") for number in range(3)]
    page = browser.get("/?kind=approval").text
    picks = [str(each) for each in html.fromstring(page).xpath("//input[@name='pick']/@value")]
    browser.post("/decisions", data=form_of(page, text=asked[1]) | {"verb": "reject", "why": "too loud"})

    answer = browser.post("/decisions/many", data={"pick": picks, "verb": "approve", "why": "read them"})

    told = said(browser, answer)
    assert told.startswith("Two keys approved. Not decided: post:feed:ask-1 is not any more as you saw it")
    assert [shelf.state(key) for key in asked] == ["waiting", "cancelled", "waiting"]


@pytest.mark.parametrize("verb", ["applied", "not-applied", "cancel", ""])
def test_effects_in_doubt_cannot_be_decided_together_by_a_forged_form(
    browser: TestClient, shelf: Shelf, verb: str
) -> None:
    key = shelf.in_doubt()
    pick = form_of(browser.get("/").text)["card"]

    answer = browser.post("/decisions/many", data={"pick": [pick], "verb": verb, "why": "all of them"})

    assert answer.status_code == 400
    assert shelf.state(key) == "unknown"


# What strangers wrote

NASTY = "<script>alert(1)</script> \u202egnp.exe\u202c \x1b[31m شكرا"


def test_a_strangers_text_is_shown_and_does_nothing(browser: TestClient, shelf: Shelf) -> None:
    shelf.in_doubt(payload={"title": NASTY, "body": NASTY})

    page = browser.get("/").text

    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert "\\u202egnp.exe\\u202c \\x1b[31m شكرا" in page
    assert "<bdi>" in page


def test_a_key_with_marks_and_line_breaks_is_decided_as_it_is(browser: TestClient, shelf: Shelf) -> None:
    key = shelf.in_doubt("a\u202eb\r\n c/d?#&\"'<é")

    browser.post("/decisions", data=form_of(browser.get("/").text) | {"verb": "applied", "why": "seen"})

    assert shelf.state(key) == "done"


def test_a_long_payload_is_cut_in_the_card_and_an_emoji_stays_whole(browser: TestClient, shelf: Shelf) -> None:
    shelf.in_doubt(payload={"title": "T" * 10_000, "body": "x" * 10_000 + "the end"})
    shelf.in_doubt("family", payload="👨\u200d👩\u200d👧")

    page = browser.get("/").text

    assert "the end" not in page
    assert "👨\u200d👩\u200d👧" in page
    assert len(page) < 40_000


# Pages


def test_many_cards_come_in_pages_oldest_first(browser: TestClient, shelf: Shelf) -> None:
    for number in range(45):
        shelf.in_doubt(f"post-{number:02}")

    seen: list[str] = []
    path = "/?kind=doubt"
    while path:
        tree = html.fromstring(browser.get(path).text)
        seen += [str(each) for each in tree.xpath("//article//h3/a/bdi/text()")]
        path = "/" + str(tree.xpath("string(//section[@aria-labelledby='doubt']/p/a/@href)")).removeprefix("./")
        path = "" if path == "/" else path

    assert seen == [f"post:feed:post-{number:02}" for number in range(45)]


def test_a_page_that_is_open_is_asked_for_by_its_tag(browser: TestClient, shelf: Shelf) -> None:
    again = {"x-desk-refresh": "1"}

    def is_unchanged() -> bool:
        again["if-none-match"] = browser.get("/").headers["etag"]
        return browser.get("/", headers=again).status_code == 304

    until(is_unchanged, what="a page that did not change")  # the first one may be of the minute before

    shelf.in_doubt()

    assert browser.get("/", headers=again).status_code == 200
