"""Markdown to safe HTML: no raw HTML, no links but web and mail, no pictures that a reader's browser would fetch.

Rendering takes time and memory by the square of the length for some texts: a table's rows are filled up to its heading.
So a text that is not short is rendered in a process of its own, with limits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, cast

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from clients.text import confined

#: About three lines on a phone.
SUMMARY_LENGTH = 280

#: Characters. The costliest text of this length that is known takes a twentieth of a second.
MAX_UNCONFINED = 2_000

SAFE_LINK = re.compile(r"(https?://|mailto:)", re.IGNORECASE)

_SPECIAL = re.compile(r"[\\`*_\[\]<>&~|]|^[-+#=]|(?<=\d)[.)](?=\s)")


class RenderError(ValueError):
    """Raised for a text that cannot be rendered within the limits; says what to change."""


def within_limits(function: Callable[[str], Any], text: str) -> Any:
    """Return `function(text)`, here if the text is short, else in a process of its own; raises RenderError."""
    if len(text) <= MAX_UNCONFINED:
        return function(text)
    try:
        return confined.call(function, text)
    except (confined.LimitExceeded, confined.FunctionFailed) as error:
        raise RenderError(
            f"its Markdown cannot be rendered: it {error}; look for a very wide table, deep quotations or lists, "
            "or thousands of brackets"
        ) from None


def to_html(text: str) -> str:
    """Render a post's body; its headings begin below the page's title."""
    return str(within_limits(html_here, text))


def first_paragraph(text: str) -> str:
    """Return the first paragraph as plain text, cut between words."""
    return str(within_limits(paragraph_here, text))


def links(text: str) -> list[str]:
    """Return where the links and pictures of a text lead."""
    return cast("list[str]", within_limits(links_here, text))


def html_here(text: str) -> str:
    """Do the work of `to_html`, in this process and without a limit."""
    return cast("str", _markdown().render(text))


def paragraph_here(text: str) -> str:
    """Do the work of `first_paragraph`, in this process and without a limit."""
    tokens = _markdown().parse(text)
    inline = (after for before, after in pairwise(tokens) if before.type == "paragraph_open")
    return shorten(" ".join(_plain(next(inline, None)).split()))


def shorten(text: str, length: int = SUMMARY_LENGTH) -> str:
    """Cut between words and say so."""
    if len(text) <= length:
        return text
    cut = text[:length]
    return (cut.rsplit(" ", 1)[0] if " " in cut else cut).rstrip(" ,;:.-") + "…"


def escape(text: str) -> str:
    """Write one line of somebody else's text so that it means itself and nothing in Markdown."""
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", text)


def links_here(text: str) -> list[str]:
    """Do the work of `links`, in this process and without a limit."""
    inline = [child for token in _markdown().parse(text) for child in token.children or []]
    return [str(token.attrGet("href")) for token in inline if token.type == "link_open"]


def tokens(text: str) -> list[Token]:
    """Return the parts of a post's body, parsed in this process and without a limit."""
    return _markdown().parse(text)


@cache
def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "typographer": True})
    markdown.enable(["table", "strikethrough", "smartquotes"])
    markdown.validateLink = lambda url: bool(SAFE_LINK.match(url))  # type: ignore[method-assign]
    markdown.core.ruler.push("level_headings", _level_headings)
    markdown.core.ruler.push("link_images", _link_images)
    return markdown


def _level_headings(state: StateCore) -> None:
    """Whether an author begins with `#` or with `##`, the highest heading comes right below the page's title."""
    headings = [token for token in state.tokens if token.type in {"heading_open", "heading_close"}]
    highest = min((int(token.tag[1]) for token in headings), default=2)
    for token in headings:
        token.tag = f"h{min(int(token.tag[1]) - highest + 2, 6)}"


def _link_images(state: StateCore) -> None:
    """Link to each picture: loading it would tell its server who reads, a link leaves that to the reader."""
    for token in state.tokens:
        token.children = list(_without_images(token.children or []))


def _without_images(tokens: Sequence[Token]) -> Iterator[Token]:
    depth = 0
    for token in tokens:
        depth += token.nesting if token.type.startswith("link_") else 0
        if token.type != "image":
            yield token
        elif depth:  # a link cannot hold another one
            yield _label(token)
        else:
            yield Token("link_open", "a", 1, attrs={"href": token.attrGet("src") or ""})
            yield _label(token)
            yield Token("link_close", "a", -1)


def _label(image: Token) -> Token:
    return Token("text", "", 0, content=_plain(image) or "image")


def _plain(parent: Token | None) -> str:
    return "".join(_text_of(token) for token in (parent.children if parent else None) or [])


def _text_of(token: Token) -> str:
    return " " if token.type in {"softbreak", "hardbreak"} else token.content
