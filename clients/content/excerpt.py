"""A post as a short text: all of it where it fits, otherwise its beginning, cut where a reader would pause, and its link."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator

from wcwidth import iter_graphemes

from clients.content.post import Post
from clients.text import markdown, plain_text

#: Addresses as they stand in plain text; a bracket or a full stop behind one is not part of it.
URL = re.compile(r"https?://[^\s<>\"“”]*[^\s<>\"“”.,:;!?)\]'’…]")  # noqa: RUF001 - quotes as writers set them

#: No text of so many times the allowed length fits, however little its links count.
MAX_LENGTH_FACTOR = 20

_SENTENCE = re.compile(r"(?<![.!?…])[.!?…]+[\"'”’»)\]]*(?=\s)|(?<![。！？])[。！？]+|(?=\n\n)")  # noqa: RUF001 - full stops of Chinese and Japanese
_WORD = re.compile(r"(?<=\S)(?=\s)")

#: Where a text may be cut, best first, and how much of what would fit has to be left by that.
_CUTS = ((_SENTENCE, 0.6), (_WORD, 0.8))

Count = Callable[[str], int]


class TooLong(ValueError):
    """Raised when not even the first word fits beside the link."""


def excerpt(post: Post, most: int, count: Count, most_links: int | None = None) -> str:
    """Return title and body within `most` of what `count` counts, with at most so many different links.

    The same post, limits and count give the same text. Raises TooLong where `most` leaves no room for anything.
    """
    whole = f"{post.title}\n\n{plain_text.text_of(post.body)}"
    if most_links is not None:
        whole = _with_fewer_links(whole, most_links)
    if len(whole) <= most * MAX_LENGTH_FACTOR and count(whole) <= most:
        return whole
    beginning, link = whole[: most * MAX_LENGTH_FACTOR], _link(post)
    if link and count(link) < most // 2:
        cut = _cut(beginning, lambda text: count(f"{text}\n\n{link}") <= most)
        if link not in cut:
            return f"{cut}\n\n{link}"
    return _cut(beginning, lambda text: count(text) <= most)


def _link(post: Post) -> str:
    """The post's first link, or the first page it is made from."""
    every = [*markdown.links(post.body), *post.sources]
    return next((link for link in every if URL.fullmatch(link)), "")


def _with_fewer_links(text: str, most: int) -> str:
    """The text without the addresses of any further links; their labels stay."""
    kept = list(dict.fromkeys(URL.findall(text)))[:most]
    bracketed = re.compile(rf"(?P<open> ?\()?(?P<url>{URL.pattern})(?(open)\))")
    return bracketed.sub(lambda found: found[0] if found["url"] in kept else "", text)


def _cut(text: str, fits: Callable[[str], bool]) -> str:
    """The longest beginning that fits, ended where a reader would pause."""
    anywhere = _longest(text, list(_between_characters(text)), fits)
    if not anywhere:
        raise TooLong("there is no room for a single word beside the post's link; write a shorter link")
    for pattern, enough in _CUTS:
        place = _longest(text, [found.end() for found in pattern.finditer(text)], fits)
        if place >= enough * anywhere:
            return _ended(text[:place])
    return _ended(text[:anywhere])


def _longest(text: str, places: list[int], fits: Callable[[str], bool]) -> int:
    """The last of these places where the text may end and fit; 0 if none is."""
    fitting = bisect_right(places, False, key=lambda place: not fits(_ended(text[:place])))
    return places[fitting - 1] if fitting else 0


def _between_characters(text: str) -> Iterator[int]:
    """Every place between two characters as people see them, but inside no address."""
    inside = {place for found in URL.finditer(text) for place in range(found.start() + 1, found.end())}
    place = 0
    for character in iter_graphemes(text):
        place += len(character)
        if place not in inside:
            yield place


def _ended(text: str) -> str:
    text = text.rstrip().rstrip(",;:–—-(").rstrip()  # noqa: RUF001 - dashes as writers set them
    return f"{text} …" if text and not text[-1].isalnum() else f"{text}…"
