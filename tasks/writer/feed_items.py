"""The items of a feed, parsed in a confined child process."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from clients.sources import BrokenSource
from clients.text import confined, feed
from clients.text.markdown import shorten

#: White space after `.` or `."`, before a character that can begin a sentence.
_SENTENCE_END = re.compile('(?:(?<=[.!?…])|(?<=[.!?…]["\u201d\u2019)]))\\s+(?=["\u201c\u2018(]?[^\\W\\d_a-z])')


@dataclass(frozen=True)
class FeedItem:
    """One item of a feed, with plain text and a safe link."""

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
    """Parse an RSS or Atom document.

    Args:
        data: The document; an empty one has no items.
        source: The name of the source, which each item carries.

    Raises:
        BrokenSource: the document is not a feed, or takes too long to parse.

    """
    if not data:
        return []
    try:
        entries = confined.call(feed.entries, data)
    except confined.LimitExceeded as error:
        raise BrokenSource(f"is not read: it {error}, unlike any ordinary feed") from None
    except confined.FunctionFailed as error:
        raise BrokenSource(f"is not a feed: {str(error).removeprefix('NotAFeed: ')}") from None
    return [
        FeedItem(**fields | {"source": source, "date": fields["date"] and datetime.fromisoformat(fields["date"])})
        for fields in entries
    ]


def first_sentences(text: str, length: int) -> str:
    """Return as many whole sentences as fit into `length` characters, or the beginning of the first."""
    taken = ""
    for sentence in _SENTENCE_END.split(text):
        longer = f"{taken} {sentence}".strip()
        if len(longer) > length:
            break
        taken = longer
    return taken or shorten(text, length)
