"""Render Markdown as safe HTML: no raw HTML, only web and mail links, no images that a browser would load.

Rendering takes quadratic time and memory for some texts (each row of a table is filled up to the width of its header), so
any text longer than MAX_UNCONFINED is rendered in a child process with limits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache, wraps
from itertools import pairwise
from typing import TypeVar, cast

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from clients.text import confined

#: About three lines on a phone.
SUMMARY_LENGTH = 280

#: Characters. The slowest known text of this length takes 50 ms.
MAX_UNCONFINED = 2_000

SAFE_LINK = re.compile(r"(https?://|mailto:)", re.IGNORECASE)

_SPECIAL = re.compile(r"[\\`*_\[\]<>&~|]|^[-+#=]|(?<=\d)[.)](?=\s)")


Result = TypeVar("Result")


class RenderError(ValueError):
    """Raised for a text that cannot be rendered within the limits; the message says what to change."""


def within_limits(function: Callable[[str], Result]) -> Callable[[str], Result]:
    """Decorate a function to run in a child process if its text is long, and to raise RenderError if it fails there."""

    @wraps(function)
    def limited(text: str) -> Result:
        if len(text) <= MAX_UNCONFINED:
            return function(text)
        try:
            return cast("Result", confined.call(function, text))
        except (confined.LimitExceeded, confined.FunctionFailed) as error:
            raise RenderError(
                f"its Markdown cannot be rendered: it {error}; look for a very wide table, deep quotations or lists, "
                "or thousands of brackets"
            ) from None

    return limited


@within_limits
def to_html(text: str) -> str:
    """Render a post's body as HTML whose highest heading is `h2`; raises RenderError."""
    return cast("str", _markdown().render(text))


@within_limits
def first_paragraph(text: str) -> str:
    """Return the first paragraph as plain text of at most SUMMARY_LENGTH characters; raises RenderError."""
    tokens = _markdown().parse(text)
    inline = (after for before, after in pairwise(tokens) if before.type == "paragraph_open")
    return shorten(" ".join(_plain(next(inline, None)).split()))


def shorten(text: str, length: int = SUMMARY_LENGTH) -> str:
    """Cut a text at a word boundary to at most `length` characters, and end it with an ellipsis if it was cut."""
    if len(text) <= length:
        return text
    cut = text[:length]
    return (cut.rsplit(" ", 1)[0] if " " in cut else cut).rstrip(" ,;:.-") + "…"


def escape(text: str) -> str:
    """Escape one line of text so that Markdown renders it literally."""
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", text)


@within_limits
def links(text: str) -> list[str]:
    """Return the URLs of all links and images in a text; raises RenderError."""
    inline = [child for token in _markdown().parse(text) for child in token.children or []]
    return [str(token.attrGet("href")) for token in inline if token.type == "link_open"]


def tokens(text: str) -> list[Token]:
    """Parse a text into Markdown tokens in this process, without limits."""
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
    """Shift all headings so that the highest is `h2`: the page's title is the only `h1`."""
    headings = [token for token in state.tokens if token.type in {"heading_open", "heading_close"}]
    highest = min((int(token.tag[1]) for token in headings), default=2)
    for token in headings:
        token.tag = f"h{min(int(token.tag[1]) - highest + 2, 6)}"


def _link_images(state: StateCore) -> None:
    """Replace each image by a link: loading an image would tell its server who reads the page."""
    for token in state.tokens:
        token.children = list(_without_images(token.children or []))


def _without_images(tokens: Sequence[Token]) -> Iterator[Token]:
    depth = 0
    for token in tokens:
        depth += token.nesting if token.type.startswith("link_") else 0
        if token.type != "image":
            yield token
        elif depth:  # links cannot be nested
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
