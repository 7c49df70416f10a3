"""What a feed gives: plain items with safe links, whatever a stranger wrote into it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import escape
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

import settings
from clients.sources import BrokenSource, Document
from clients.text import feed, html, markdown
from tasks.writer import feed_items, summary
from tasks.writer.feed_items import FeedItem
from tests.harness import within

ATOM = """<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>Notes</title>{}</feed>"""
RSS = """<?xml version="1.0"?><rss version="2.0"><channel><title>Notes</title>{}</channel></rss>"""


def parse(data: bytes, source: str = "Notes") -> list[FeedItem]:
    return list(feed_items.parse(Document(source, data, "https://example.org/feed.xml")).parts)


def atom(*entries: str, source: str = "Notes") -> list[FeedItem]:
    return parse(ATOM.format("".join(f"<entry>{entry}</entry>" for entry in entries)).encode(), source)


def an_item(link: str) -> FeedItem:
    return FeedItem("0" * 16, "Notes", "A [title](x)", link, "", None)


def an_entry(title: str = "A title", link: str = "https://example.org/a", more: str = "") -> str:
    return f'<id>{link}</id><title>{title}</title><link href="{link}"/>{more}'


def test_an_atom_entry_is_an_item() -> None:
    more = "<published>2026-11-01T09:00:00+02:00</published><summary>What it is about.</summary>"

    (item,) = atom(an_entry(more=more))

    assert (item.source, item.title, item.link) == ("Notes", "A title", "https://example.org/a")
    assert (item.text, item.date) == ("What it is about.", datetime(2026, 11, 1, 7, tzinfo=UTC))


def test_an_rss_item_is_an_item() -> None:
    told = (
        "<item><title>T</title><link>https://example.org/t</link><description>D</description>"
        "<pubDate>Sun, 01 Nov 2026 09:00:00 GMT</pubDate></item>"
    )

    (item,) = parse(RSS.format(told).encode())

    assert (item.title, item.link, item.text) == ("T", "https://example.org/t", "D")
    assert item.date == datetime(2026, 11, 1, 9, tzinfo=UTC)


def test_source_guid_and_link_with_its_fragment_identify_an_item() -> None:
    def identity(guid: str = "tag:x,2026:1", link: str = "https://example.org/a", source: str = "Notes") -> str:
        return atom(f'<id>{guid}</id><title>A</title><link href="{link}"/>', source=source)[0].id

    others = [identity("tag:x,2026:2"), identity(link="https://example.org/a#b"), identity(source="Others")]
    assert len({identity(), *others}) == 4


def test_an_item_keeps_its_identity_when_its_title_changes_and_its_site_turns_to_https() -> None:
    before = atom('<id>tag:x,2026:1</id><title>A</title><link href="http://example.org/a"/>')
    after = atom('<id>tag:x,2026:1</id><title>B</title><link href="https://example.org/a"/><summary>C</summary>')

    assert before[0].id == after[0].id


def test_html_becomes_words() -> None:
    html = "&lt;p&gt;Half &lt;b&gt;bo&lt;/b&gt;ld&lt;/p&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;p&gt;AT&amp;amp;T&lt;/p&gt;"

    (item,) = atom(an_entry(more=f'<summary type="html">{html}</summary>'))

    assert item.text == "Half bold AT&T"


def test_what_scripts_and_styles_say_is_not_heard() -> None:
    assert html.plain("<style>p {}</style>a<SCRIPT>alert('<b>')</script> b<!-- <p>c --> d<!-- e") == "a b d"


@pytest.mark.parametrize("piece", ["<!--", "<a ", "<script>", "&amp", "<a href='", "<![CDATA["])
def test_a_long_piece_of_odd_html_is_read_within_the_limits(piece: str) -> None:
    hostile = escape(piece) * (50_000 // len(escape(piece)))

    with within(5):
        (item,) = atom(an_entry(more=f"<summary type='html'>{hostile}</summary>"))

    assert len(item.text) <= feed.MAX_TEXT + 1


def test_control_characters_and_those_that_turn_text_around_are_left_out() -> None:
    assert html.plain("a\u202eb\u200bc\x1b[31m d\u0007") == "abc[31m d"
    assert (
        html.plain("\U0001f469\u200d\U0001f467 \u0645\u06cc\u200c\u0634\u0648\u062f")
        == "\U0001f469\u200d\U0001f467 \u0645\u06cc\u200c\u0634\u0648\u062f"
    )


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://user@example.org/",
        "https://user:word@example.org/",
        "https://evil.example\\@example.org/",
        "https://exa mple.org/",
        "https://example.org/" + "a" * feed.MAX_LINK,
        "https://" + "a" * 300 + ".example/",
        "https://[broken/",
        "mailto:me@example.org",
        "",
    ],
)
def test_an_item_whose_link_is_not_safe_is_left_out_and_counted(link: str) -> None:
    entries = f"<entry>{an_entry('Bad', link).replace(f'<id>{link}</id>', '')}</entry><entry>{an_entry('Good')}</entry>"

    parsed = feed_items.parse(Document("Notes", ATOM.format(entries).encode()))

    assert [item.title for item in parsed.parts] == ["Good"]
    assert parsed.left_out.startswith("1 entry with")


@pytest.mark.parametrize(
    ("link", "safe"),
    [
        ("https://example.org/a b", "https://example.org/a%20b"),
        ("https://example.org/&gt;)[x](https://evil.example", "https://example.org/%3E)%5Bx%5D(https://evil.example"),
        ("https://example.org/&quot;'\\|{}`^", "https://example.org/%22%27%5C%7C%7B%7D%60%5E"),
        ("https://example.org/caf\u00e9?q=\u00fc#\u00e4", "https://example.org/caf%C3%A9?q=%C3%BC#%C3%A4"),
        ("https://example.org/a%20b%C3%A9", "https://example.org/a%20b%C3%A9"),
        ("https://m\u00fcller.example:8443/", "https://xn--mller-kva.example:8443/"),
        ("https://example.org/\u202egpj.exe", "https://example.org/%E2%80%AEgpj.exe"),
        ("HTTPS://example.org/", "https://example.org/"),
        ("https://example.org/" + "a" * 500, "https://example.org/" + "a" * 500),
        ("../notes/1", "https://example.org/notes/1"),
        ("//other.example/a", "https://other.example/a"),
        ("?page=2#a", "https://example.org/feed.xml?page=2#a"),
    ],
)
def test_a_link_is_kept_as_an_absolute_address_that_cannot_end_a_markdown_link(link: str, safe: str) -> None:
    (item,) = atom(an_entry(link=link))

    assert item.link == safe
    assert markdown.links(summary.references([item])) == [safe]


@given(
    st.text(max_size=80), st.sampled_from(["https://", "http://a.example/", "//", "/", "", "https://a.example/?", "x:"])
)
def test_a_link_that_is_made_safe_is_plain_and_stays_as_it_is(text: str, beginning: str) -> None:
    link = feed.absolute(beginning + text, "https://example.org/blog/feed.xml")

    if link and feed._is_safe(link):
        assert feed.absolute(link) == link
        assert re.fullmatch(r"[!-~]+", link)
        item = an_item(link)
        assert [urlsplit(found).hostname for found in markdown.links(summary.references([item]))] == [item.host]


def test_an_item_without_a_date_has_none() -> None:
    assert atom(an_entry())[0].date is None


@pytest.mark.parametrize("date", ["99999-99-99T99:99:99Z", "9999-01-01T00:00:00Z", "soon"])
def test_a_date_to_come_or_none_at_all_is_no_date(date: str) -> None:
    assert atom(an_entry(more=f"<published>{date}</published>"))[0].date is None


@pytest.mark.parametrize("data", [b"<html><body>no feed</body></html>", b"{}", b"\x00\xff\xfe", b"http://127.0.0.1:1/"])
def test_what_is_no_feed_is_a_broken_source(data: bytes) -> None:
    with pytest.raises(BrokenSource, match="is not a feed"):
        parse(data)


def test_a_feed_that_is_cut_off_gives_what_came_before() -> None:
    whole = ATOM.format(f"<entry>{an_entry()}</entry><entry>{an_entry()}</entry>").encode()

    assert [item.title for item in parse(whole[:-70])][:1] == ["A title"]


def test_an_entity_that_names_a_file_of_this_machine_stays_a_name() -> None:
    data = f'<!DOCTYPE feed [<!ENTITY x SYSTEM "file:///etc/passwd">]>{ATOM.format("")}'
    told = data.replace("<title>Notes</title>", f"<entry>{an_entry(more='<summary>&x;</summary>')}</entry>")

    assert "root:" not in str(parse(told.encode()))


def test_as_many_whole_sentences_are_quoted_as_fit() -> None:
    text = "It has 3.5 parts. He said “stop.” Then it stopped. And so on."

    assert feed_items.first_sentences(text, 40) == "It has 3.5 parts. He said “stop.”"
    assert feed_items.first_sentences(text, 200) == text
    assert feed_items.first_sentences("One sentence that is far too long to fit.", 20) == "One sentence that…"


def test_the_feed_that_ships_can_be_read_whole() -> None:
    path = settings.ROOT / "content" / "sources" / "running-agents.xml"

    found = parse(path.read_bytes())

    assert len(found) >= 6
    assert len({item.id for item in found}) == len(found)
    assert all(item.date and len(item.text) > 200 and item.link.startswith("https://") for item in found)
