"""The writer's drafts at the desk: read, edited, approved and rejected, one by one or together."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import html
from starlette.testclient import TestClient

import settings
from clients import content
from state.agents import audit
from tests.desk.conftest import form_of, heading, said


def write(name: str, title: str = "Hello", body: str = "Some text.") -> Path:
    file = settings.current().content_dir / "drafts" / f"{name}.md"
    file.parent.mkdir(parents=True, exist_ok=True)
    header = f"id: {name}\ntitle: {title}\npublish_at: 2026-11-01T09:00:00Z\nmade_by: rules\n"
    file.write_text(f"---\n{header}sources: [https://example.org/a]\n---\n{body}\n")
    return file


@pytest.fixture
def draft() -> Path:
    return write("digest-one")


def fields(browser: TestClient) -> dict[str, str]:
    """The hidden fields of the form that edits the draft."""
    return form_of(browser.get("/drafts/digest-one").text, "//form[@id='edit']")


def test_a_draft_waits_on_the_desk_with_its_text(browser: TestClient, draft: Path) -> None:
    page = browser.get("/").text

    assert heading(page) == "1 decision waits for you"
    assert "Publish this?" in page
    assert "Some text." in page


def test_a_draft_is_approved_as_it_is(browser: TestClient, draft: Path) -> None:
    seen = form_of(browser.get("/").text)

    answer = browser.post("/drafts/digest-one/approve", data=seen | {"why": "read it"})

    assert "digest-one is approved" in said(browser, answer)
    assert content.load("digest-one").body == "Some text."
    [entry] = audit.read(["writer"], limit=5)
    assert (entry.what, entry.subject, entry.door, entry.why) == ("draft approve", "digest-one", "desk", "read it")


def test_an_edited_draft_is_published_as_edited_and_its_text_before_is_kept(browser: TestClient, draft: Path) -> None:
    edited = {"title": "Hello: <again>", "body": "\r\nOther text.\r\n\r\nMore \u202e.", "why": "clearer"}

    answer = browser.post("/drafts/digest-one/approve", data=fields(browser) | edited)

    assert answer.status_code == 303, answer.text
    post = content.load("digest-one")
    assert (post.title, post.sources) == ("Hello: <again>", ("https://example.org/a",))
    assert post.body.startswith("Other text.\n\nMore")
    assert "Some text." in draft.with_name("digest-one.md.original").read_text()
    assert [entry.what for entry in audit.read(["writer"], limit=5)] == ["draft approve as edited"]


def test_an_edit_that_is_not_a_post_is_refused_and_the_draft_stays_as_it_was(browser: TestClient, draft: Path) -> None:
    before = draft.read_bytes()

    answer = browser.post("/drafts/digest-one/approve", data=fields(browser) | {"title": " ", "body": "x", "why": "y"})

    assert answer.status_code == 409
    assert "title" in answer.text
    assert draft.read_bytes() == before


def test_a_draft_that_changed_since_it_was_read_is_not_decided(browser: TestClient, draft: Path) -> None:
    seen = fields(browser)
    write("digest-one", body="What another person wrote.")

    for verb in ("approve", "reject"):
        answer = browser.post(f"/drafts/digest-one/{verb}", data=seen | {"title": "a", "body": "b", "why": "c"})
        assert answer.status_code == 409
        assert "edited since you opened it" in answer.text
    assert "another person" in draft.read_text()


def test_a_second_click_changes_nothing_and_says_what_was_decided(browser: TestClient, draft: Path) -> None:
    seen = fields(browser)
    browser.post("/drafts/digest-one/reject", data=seen | {"why": "dull"})

    late = browser.post("/drafts/digest-one/approve", data=seen | {"title": "a", "body": "b", "why": "c"})

    assert late.status_code == 409
    assert "was rejected" in late.text
    assert not (settings.current().content_dir / "digest-one.md").exists()


def test_a_rejected_draft_keeps_the_reason(browser: TestClient, draft: Path) -> None:
    browser.post("/drafts/digest-one/reject", data=fields(browser) | {"why": "not ours"})

    assert "not ours" in draft.with_name("digest-one.md.rejected").read_text()


def test_several_drafts_are_approved_at_once_and_one_that_changed_is_told(browser: TestClient) -> None:
    for name in ("one", "two", "three"):
        write(name)
    picks = html.fromstring(browser.get("/").text).xpath("//input[@form='many-drafts']/@value")
    write("two", body="Other text.")

    answer = browser.post("/drafts/many", data={"pick": picks, "verb": "approve", "why": "read them"})

    told = said(browser, answer)
    assert told.startswith("Two drafts approved.")
    assert "two was edited" in told
    assert sorted(post.id for post in content.scan().posts) == ["one", "three"]


def test_a_draft_that_cannot_be_used_says_why_and_can_only_be_rejected(browser: TestClient) -> None:
    file = settings.current().content_dir / "drafts" / "typo.md"
    file.parent.mkdir(parents=True)
    file.write_text("no front matter")

    page = browser.get("/").text

    assert "cannot be used" in page
    assert html.fromstring(page).xpath("//article//button/text()") == ["Reject"]
    assert browser.get("/drafts/typo").status_code == 200


def test_a_draft_that_does_not_wait_is_not_found(browser: TestClient) -> None:
    assert browser.get("/drafts/nothing").status_code == 404


def test_a_nasty_draft_is_only_text(browser: TestClient) -> None:
    write("nasty", title="'<script>alert(1)</script>'", body="</textarea><script>alert(2)</script> \u202e")

    for path in ("/", "/drafts/nasty"):
        page = browser.get(path).text
        assert "<script>alert" not in page
        assert "</textarea><script" not in page


def test_a_draft_that_is_sent_back_as_it_was_is_not_an_edit(browser: TestClient, draft: Path) -> None:
    same = {"title": "Hello", "body": "Some text.\r\n", "why": "read it"}

    browser.post("/drafts/digest-one/approve", data=fields(browser) | same)

    assert [entry.what for entry in audit.read(["writer"], limit=5)] == ["draft approve"]
    assert not draft.with_name("digest-one.md.original").exists()
