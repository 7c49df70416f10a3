"""A post as a short text: plain, whole where it fits, and otherwise cut where a reader would pause."""

from __future__ import annotations

import pytest

from clients.content.excerpt import TooLong, excerpt
from clients.content.post import Post
from clients.text.plain_text import text_of
from tests.harness import within

LINK = "https://example.org/a-page"


def a_post(body: str, title: str = "Title", sources: tuple[str, ...] = ()) -> Post:
    fields = {"id": "a", "publish_at": "2026-11-01T09:00:00Z", "title": title, "body": body, "sources": sources}
    return Post.model_validate(fields)


def cut(body: str, most: int = 60, **fields: object) -> str:
    return excerpt(a_post(body, **fields), most, len)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("markdown", "plain"),
    [
        ("One *two* **three** `four` ~~five~~", "One two three four five"),
        ("One\ntwo\n\nthree  \nfour", "One two\n\nthree\nfour"),
        ("# Head\n\nText", "Head\n\nText"),
        ("- one\n- two\n\nAfter", "• one\n• two\n\nAfter"),
        ("Before:\n\n3. three\n4. four", "Before:\n\n3. three\n4. four"),
        ("- one\n\n- two", "• one\n\n• two"),
        ("> Said *so*", "Said so"),
        ("```\nx = 1\n\ny = 2\n```", "x = 1\n\ny = 2"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a · b\n1 · 2"),
        (f"[the page]({LINK}) and <{LINK}>", f"the page ({LINK}) and {LINK}"),
        ("[example.org](https://example.org)", "https://example.org"),
        ("Mail <ada@example.org>", "Mail ada@example.org"),
        (f"![a cat]({LINK})", f"a cat ({LINK})"),
        ("<b>raw</b> &amp; \\*literal\\*", "<b>raw</b> & *literal*"),
        ("above\n\n---\n\nbelow", "above\n\nbelow"),
    ],
)
def test_markdown_reads_well_as_plain_text(markdown: str, plain: str) -> None:
    assert text_of(markdown) == plain


def test_a_post_that_fits_is_sent_whole() -> None:
    assert cut("Body, exactly as long as it may be.", most=42) == "Title\n\nBody, exactly as long as it may be."


def test_a_long_post_ends_with_a_whole_sentence_where_that_costs_little() -> None:
    assert cut("One sentence that is quite long. Then another one that is longer.") == (
        "Title\n\nOne sentence that is quite long. …"
    )


def test_a_long_sentence_ends_with_a_whole_word() -> None:
    assert cut("one, two, three, four, five, six, seven, eight, nine, ten, eleven") == (
        "Title\n\none, two, three, four, five, six, seven, eight, nine…"
    )


def test_a_text_without_spaces_is_cut_between_characters() -> None:
    assert cut("字" * 100, most=20) == f"Title\n\n{'字' * 12}…"
    assert cut("👨‍👩‍👧" * 20, most=20) == "Title\n\n👨‍👩‍👧👨‍👩‍👧 …"


def test_the_link_is_kept_behind_what_is_cut() -> None:
    text = cut(f"Some words here and more of them. Read [all of it]({LINK}).", most=64)

    assert text == f"Title\n\nSome words here and more of…\n\n{LINK}"


def test_a_link_that_is_in_the_beginning_is_not_repeated() -> None:
    text = cut(f"See {LINK} for more. " + "More words. " * 20, most=70)

    assert text == f"Title\n\nSee {LINK} for more. More words. …"


def test_the_first_source_stands_in_for_a_link() -> None:
    assert cut("word " * 40, most=60, sources=(LINK, "https://example.org/other")).endswith(f"…\n\n{LINK}")


def test_a_link_is_never_cut_in_two() -> None:
    for most in range(14, 120):
        text = cut(f"See {LINK} and <{LINK}/two> there.", most)
        for part in text.split():
            bare = part.strip("(),.…")
            assert "http" not in bare or bare in {LINK, f"{LINK}/two"}, (most, text)
        assert len(text) <= most


def test_a_link_that_leaves_no_room_for_words_is_left_out() -> None:
    long = "https://example.org/" + "x" * 60
    assert cut(f"Some words. [More]({long})", most=40) == "Title\n\nSome words. …"


def test_there_must_be_room_for_something() -> None:
    with pytest.raises(TooLong, match="no room for a single word"):
        cut("A body", most=1)


def test_the_same_post_gives_the_same_text() -> None:
    assert len({cut("Some words. " * 50) for _ in range(5)}) == 1


def test_the_largest_post_there_may_be_takes_no_time() -> None:
    with within(10):
        assert len(cut("Some words. 字👍🏽 " * 60_000, most=500)) <= 500
