"""Render Markdown as safe HTML: no raw HTML, no comments, only web and mail links, no images that a browser would load.

Rendering takes quadratic time and memory for some texts (each row of a table is filled up to the width of its header), so
any text longer than MAX_UNCONFINED is rendered in a child process with limits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache, wraps
from itertools import pairwise
from typing import Any, TypeVar, cast
from urllib.parse import urljoin

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from clients.text import confined
from clients.text.source import COMMENT
from clients.text.words import clean

#: About three lines on a phone.
SUMMARY_LENGTH = 280

#: Characters. The slowest known text of this length takes 50 ms.
MAX_UNCONFINED = 2_000

SAFE_LINK = re.compile(r"(https?://|mailto:)", re.IGNORECASE)

#: The suffix of a link to another post's file; `urljoin` gives the address of its page.
_PAGE_OF = re.compile(r"(?<!/)(?<!^)\.(?:md|markdown)(?=$|[?#])", re.IGNORECASE)

_SPECIAL = re.compile(r"[\\`*_\[\]<>&~|]|^[-+#=]|(?<=\d)[.)](?=\s)")


Function = TypeVar("Function", bound=Callable[..., Any])


class RenderError(ValueError):
    """Raised for a text that cannot be rendered within the limits; the message says what to change."""


def within_limits(function: Function) -> Function:
    """Decorate a function to run in a child process if its text is long, and to raise RenderError if it fails there."""

    @wraps(function)
    def limited(text: str, *more: str) -> Any:
        if len(text) <= MAX_UNCONFINED:
            return function(text, *more)
        try:
            return confined.call(function, text, *more)
        except (confined.LimitExceeded, confined.FunctionFailed) as error:
            raise RenderError(
                f"its Markdown cannot be rendered: it {error}; look for a very wide table, deep quotations or lists, "
                "or thousands of brackets"
            ) from None

    return cast("Function", limited)


@within_limits
def to_html(text: str, base: str = "") -> str:
    """Render a post's body as HTML whose highest heading is `h2`.

    Args:
        text: Markdown.
        base: The address that relative links start from; without one they become their labels.

    Raises:
        RenderError: the text cannot be rendered within the limits.

    """
    return clean(cast("str", _markdown().render(text, {"base": base})))


@within_limits
def first_paragraph(text: str) -> str:
    """Return the first paragraph as plain text of at most SUMMARY_LENGTH characters; raises RenderError."""
    inline = (after for before, after in pairwise(tokens(text)) if before.type == "paragraph_open")
    paragraphs = (" ".join(clean(_plain(each)).split()) for each in inline)
    return shorten(next(filter(None, paragraphs), ""))


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
def links(text: str, base: str = "") -> list[str]:
    """Return the URLs of all links and images in a text; arguments and errors are those of `to_html`."""
    inline = [child for token in tokens(text, base) for child in token.children or []]
    return [str(token.attrGet("href")) for token in inline if token.type == "link_open"]


def tokens(text: str, base: str = "") -> list[Token]:
    """Parse a text into Markdown tokens in this process, without limits; for `base` see `to_html`."""
    return _markdown().parse(text, {"base": base})


@cache
def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "typographer": True})
    markdown.enable(["table", "strikethrough", "smartquotes"])
    markdown.validateLink = lambda url: True  # type: ignore[method-assign]  # noqa: ARG005 - `_link` decides
    markdown.inline.ruler.before("autolink", "comment", _skip_comment)
    markdown.core.ruler.push("level_headings", _level_headings)
    markdown.core.ruler.push("link", _link)
    return markdown


def _level_headings(state: StateCore) -> None:
    """Shift all headings so that the highest is `h2`: the page's title is the only `h1`."""
    headings = [token for token in state.tokens if token.type in {"heading_open", "heading_close"}]
    highest = min((int(token.tag[1]) for token in headings), default=2)
    for token in headings:
        token.tag = f"h{min(int(token.tag[1]) - highest + 2, 6)}"


def _skip_comment(state: StateInline, silent: bool) -> bool:  # noqa: ARG001, FBT001 - markdown-it calls it so
    """Leave out a comment that `source.without_comments` took for code."""
    comment = COMMENT.match(state.src, state.pos)
    state.pos = comment.end() if comment else state.pos
    return bool(comment)


def _link(state: StateCore) -> None:
    """Make every link absolute or its label, and each image a link: loading it would tell its server who reads the page."""
    for token in state.tokens:
        token.children = list(_with_web_links(token.children or [], state.env.get("base", "")))


def _with_web_links(tokens: Sequence[Token], base: str) -> Iterator[Token]:
    opened: list[str] = []  #: the address of each link around the token; empty for one that is only its label
    for token in tokens:
        match token.type:
            case "link_open":
                opened.append(_address(token.attrGet("href"), base))
                token.attrSet("href", opened[-1])
                yield from [token] if opened[-1] else []
            case "link_close":
                yield from [token] if opened.pop() else []
            case "image":
                address = "" if any(opened) else _address(token.attrGet("src"), base)  # links cannot be nested
                label = Token("text", "", 0, content=_plain(token) or ("image" if any([address, *opened]) else ""))
                link = Token("link_open", "a", 1, attrs={"href": address}), label, Token("link_close", "a", -1)
                yield from link if address else [label]
            case _:
                yield token


def _address(target: object, base: str) -> str:
    """Return the absolute address of a link; empty for a relative one without a base, and for one that is not safe."""
    target = str(target or "")
    if base and target and not target.startswith("#"):
        with suppress(ValueError):
            target = urljoin(base, _PAGE_OF.sub(".html", target))
    return target if SAFE_LINK.match(target) else ""


def _plain(parent: Token | None) -> str:
    return "".join(_text_of(token) for token in (parent.children if parent else None) or [])


def _text_of(token: Token) -> str:
    return " " if token.type in {"softbreak", "hardbreak"} else token.content
