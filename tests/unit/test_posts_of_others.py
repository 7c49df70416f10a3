"""A folder of a hundred and more posts of Jekyll, Hugo and Gatehouse: each file is published, or told why it is not."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import feedparser
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from lxml import etree
from pydantic import ValidationError

from clients import content
from clients.content import Post
from clients.destinations import feed
from clients.destinations.feed import Feed
from clients.text import markdown, source
from clients.text.plain_text import text_of
from clients.text.words import clean
from tests.unit.posts_of_others import OTHERS, SECRET, Out, Told, write
from tests.unit.test_feed import GRAMMAR


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("content")
    write(path)
    return path


@pytest.fixture(scope="module")
def found(folder: Path) -> content.Scan:
    return content.scan(folder)


def test_there_are_a_hundred_posts() -> None:
    assert len([outcome for _, outcome in OTHERS.values() if outcome]) >= 100


@pytest.mark.parametrize("name", OTHERS)
def test_each_file_is_published_or_told_why_not(name: str, folder: Path, found: content.Scan) -> None:
    outcome = OTHERS[name][1]
    told = {"broken": found.broken, "skipped": found.skipped}
    posts = {post.id: post for post in found.posts}
    if isinstance(outcome, Out):
        assert_post(posts[outcome.id], outcome)
        assert content.load(outcome.id, folder) == posts[outcome.id]
    elif outcome:
        shown = name if name in told[outcome.kind] else name.partition("/")[0]
        assert outcome.words in told[outcome.kind][shown]
    else:
        assert not any(name in names for names in told.values())


def assert_post(post: Post, outcome: Out) -> None:
    html, text = markdown.to_html(post.body), text_of(post.body)
    assert not outcome.at or post.publish_at == datetime.fromisoformat(outcome.at)
    assert not outcome.title or post.title == outcome.title
    assert outcome.tags is None or post.tags == outcome.tags
    for piece in outcome.html:
        assert piece in html
    for piece in outcome.text:
        assert piece in text
    assert SECRET not in post.title + html + text
    assert "](" not in html + text


def test_nothing_else_is_published_or_told(found: content.Scan) -> None:
    outcomes = [outcome for _, outcome in OTHERS.values()]

    assert len(found.posts) == sum(isinstance(each, Out) for each in outcomes)
    assert len(found.broken) + len(found.skipped) == sum(isinstance(each, Told) for each in outcomes)


def test_all_of_them_together_are_a_valid_feed(
    found: content.Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "FEED_LENGTH", 1_000)
    local = Feed(tmp_path, "http://127.0.0.1:8000")
    for post in found.posts:
        local.publish(post)

    data = (tmp_path / "feed.xml").read_bytes()
    GRAMMAR.assertValid(etree.fromstring(data))
    assert len(feedparser.parse(data).entries) == len(found.posts)
    for page in tmp_path.rglob("*.html"):
        assert SECRET not in page.read_text()


# Whatever a text is made of

PIECES = st.sampled_from([
    "<!--", "-->", "<!-", "-", ">", "->", "--!>", "<![endif]>", f" {SECRET} ", "`", "``", "```\n", "~~~", "    ", "\n", "\n\n",
    "\t", "\\", "> ", "- ", "1. ", "  ", "# ", "a", "b ", "[x](/y)", "[", "](", ")", "&#12;", "&#x1F;", "\x0c", "\x10", "\ufffe",
    "\r\n", "\u2028", "|", "&lt;!--", "<https://a.example>", "![", "'", "é",
])  # fmt: skip
TEXTS = st.lists(PIECES, max_size=25).map("".join)


@given(TEXTS)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    try:
        post = Post.model_validate({"id": "a", "title": f"t{text}", "publish_at": "2026-11-01", "body": f"{text}\n\nb"})
    except ValidationError:
        event("has a comment without an end")
        return

    assert Post.model_validate(post.model_dump()) == post
    assert Post.model_validate_json(post.model_dump_json()) == post
    for rendered in (post.title, markdown.to_html(post.body), text_of(post.body), markdown.first_paragraph(post.body)):
        assert clean(rendered) == rendered


def test_a_comment_in_a_text_that_is_no_post_is_not_rendered_either() -> None:
    text = f"A <!-- {SECRET} --> B"

    assert markdown.to_html(text) == "<p>A  B</p>\n"
    assert text_of(text) == markdown.first_paragraph(text) == "A B"


@given(TEXTS)
def test_no_comment_is_rendered_outside_code(text: str) -> None:
    try:
        body = source.without_comments(f"{text}\n\n<!-- {SECRET}-too -->\n\n`end`")
    except source.UnclosedComment:
        return
    for token in markdown.tokens(body):
        for child in token.children or []:
            assert child.type == "code_inline" or f"{SECRET}-too" not in child.content
