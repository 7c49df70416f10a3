"""What a feed offers: its items as plain text with safe links, read in a process of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from clients.sources import BrokenSource
from clients.text import confined, feed
from clients.text.markdown import shorten

#: A space behind `.`, or behind `."`, before what begins like a sentence.
_SENTENCE_END = re.compile('(?:(?<=[.!?…])|(?<=[.!?…]["\u201d\u2019)]))\\s+(?=["\u201c\u2018(]?[^\\W\\d_a-z])')


@dataclass(frozen=True)
class FeedItem:
    """One item of a feed, as its source tells of it."""

    id: str  #: 16 hex digits that stay the same for as long as the feed calls the item the same
    source: str
    title: str
    link: str
    text: str
    date: datetime | None

    @property
    def host(self) -> str:
        return urlsplit(self.link).hostname or ""


def parse(data: bytes, source: str) -> list[FeedItem]:
    """The items of an RSS or Atom document, as they stand there; raises BrokenSource if it is not one."""
    if not data:
        return []
    try:
        found = confined.call(feed.entries, data)
    except confined.LimitExceeded as error:
        raise BrokenSource(f"is not read: it {error}, which no honest feed does") from None
    except confined.FunctionFailed as error:
        raise BrokenSource(f"is not a feed: {str(error).removeprefix('NotAFeed: ')}") from None
    return [
        FeedItem(**fields | {"source": source, "date": fields["date"] and datetime.fromisoformat(fields["date"])})
        for fields in found
    ]


def first_sentences(text: str, length: int) -> str:
    """As many whole sentences as fit, or the beginning of the first."""
    taken = ""
    for sentence in _SENTENCE_END.split(text):
        longer = f"{taken} {sentence}".strip()
        if len(longer) > length:
            break
        taken = longer
    return taken or shorten(text, length)
