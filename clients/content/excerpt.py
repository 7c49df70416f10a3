"""Fit a post into a character limit: the whole text if it fits, otherwise its beginning, cut at a pause, and its link."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator

from wcwidth import iter_graphemes

from clients.content.pages import link_base
from clients.content.post import Post
from clients.text import markdown, plain_text

#: A URL in plain text, as Threads counts it also without a scheme; a bracket or a full stop after it is not part of it.
URL = re.compile(r"(?:https?://|\bwww\.)[^\s<>\"“”]*[^\s<>\"“”.,:;!?)\]'’…]")  # noqa: RUF001 - quotes as writers set them

#: A text longer than this many times the limit cannot fit, however little its links count.
MAX_LENGTH_FACTOR = 20

_SENTENCE = re.compile(r"(?<![.!?…])[.!?…]+[\"'”’»)\]]*(?=\s)|(?<![。！？])[。！？]+|(?=\n\n)")  # noqa: RUF001 - full stops of Chinese and Japanese
_WORD = re.compile(r"(?<=\S)(?=\s)")

#: Where a text may be cut, best first, each with the least share of the available length that the cut must keep.
_CUTS = ((_SENTENCE, 0.6), (_WORD, 0.8))

Count = Callable[[str], int]


class TooLong(ValueError):
    """Raised when not even the first word fits beside the link."""


def excerpt(post: Post, limit: int, count: Count, max_links: int | None = None) -> str:
    """Return a post's title and body within a length limit; the same arguments always give the same text.

    Args:
        post: The post.
        limit: The largest length allowed, in the unit of `count`.
        count: Measures a text as the destination does.
        max_links: How many different links may stay; all of them by default.

    Raises:
        TooLong: the limit has no room for a word.
        RenderError: the post's Markdown cannot be parsed within the limits of `clients.text.markdown`.

    """
    base = link_base(post.id)
    whole = f"{post.title}\n\n{plain_text.text_of(post.body, base)}"
    if max_links is not None:
        whole = _with_fewer_links(whole, max_links)
    if len(whole) <= limit * MAX_LENGTH_FACTOR and count(whole) <= limit:
        return whole
    beginning, link = whole[: limit * MAX_LENGTH_FACTOR], _link(post, base)
    if link and count(link) < limit // 2:
        cut = _cut(beginning, lambda text: count(f"{text}\n\n{link}") <= limit)
        if link not in cut:
            return f"{cut}\n\n{link}"
    return _cut(beginning, lambda text: count(text) <= limit)


def _link(post: Post, base: str) -> str:
    """Return the post's first link, or the first of its sources, or an empty text."""
    every = [*markdown.links(post.body, base), *post.sources]
    return next((link for link in every if URL.fullmatch(link)), "")


def _with_fewer_links(text: str, max_links: int) -> str:
    """Remove the URLs of all but the first links; their labels stay."""
    shown = list(dict.fromkeys(URL.findall(text)))[:max_links]
    bracketed = re.compile(rf"(?P<open> ?\()?(?P<url>{URL.pattern})(?(open)\))")
    return bracketed.sub(lambda match: match[0] if match["url"] in shown else "", text)


def _cut(text: str, fits: Callable[[str], bool]) -> str:
    """Return the longest beginning that fits, cut after a sentence or a word if enough remains."""
    anywhere = _longest(text, list(_between_characters(text)), fits)
    if not anywhere:
        raise TooLong("there is no room for a single word beside the post's link; write a shorter link")
    for pattern, min_share in _CUTS:
        end = _longest(text, [match.end() for match in pattern.finditer(text)], fits)
        if end >= min_share * anywhere:
            return _with_ellipsis(text[:end])
    return _with_ellipsis(text[:anywhere])


def _longest(text: str, ends: list[int], fits: Callable[[str], bool]) -> int:
    """Return the last of these offsets at which the text may end and fit; 0 if there is none."""
    fitting = bisect_right(ends, False, key=lambda end: not fits(_with_ellipsis(text[:end])))
    return ends[fitting - 1] if fitting else 0


def _between_characters(text: str) -> Iterator[int]:
    """Yield every offset between two visible characters that is not inside a URL."""
    inside = {offset for match in URL.finditer(text) for offset in range(match.start() + 1, match.end())}
    offset = 0
    for character in iter_graphemes(text):
        offset += len(character)
        if offset not in inside:
            yield offset


def _with_ellipsis(text: str) -> str:
    text = text.rstrip().rstrip(",;:–—-(").rstrip()  # noqa: RUF001 - dashes as writers set them
    return f"{text} …" if text and not text[-1].isalnum() else f"{text}…"
