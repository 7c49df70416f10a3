"""The items of a feed, parsed in a confined child process."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from clients.sources import BrokenSource, Document, Parsed
from clients.text import charsets, confined, feed
from clients.text.markdown import shorten
from clients.text.words import listed

#: White space after `.` or `."`, before a character that can begin a sentence.
_SENTENCE_END = re.compile('(?:(?<=[.!?…])|(?<=[.!?…]["\u201d\u2019)]))\\s+(?=["\u201c\u2018(]?[^\\W\\d_a-z])')


@dataclass(frozen=True)
class FeedItem:
    """One item of a feed, with plain text and a safe link."""

    id: str  #: 16 hex digits made of the source's name, the item's guid, and its link with the fragment
    source: str
    title: str
    link: str
    text: str
    date: datetime | None
    guid: str = ""
    old_id: str = ""  #: the id before version 2 of the state: the guid alone, or the link without its fragment
    old_title: str = ""  #: the title that was recorded with it

    @property
    def host(self) -> str:
        return urlsplit(self.link).hostname or ""


def parse(document: Document) -> Parsed[FeedItem]:
    """Parse an RSS or Atom document.

    Args:
        document: The document; its URL is where relative links start from.

    Raises:
        BrokenSource: the document is not a feed, has no usable item, or takes too long to parse.

    """
    try:
        text = charsets.decode_xml(document.data, document.content_type)
        found = confined.call(feed.parse, f"{document.url}\n{text}")
    except LookupError as error:
        raise BrokenSource(f"is not a feed: it declares the encoding {str(error)[:40]!r}; write it in UTF-8") from None
    except confined.LimitExceeded as error:
        raise BrokenSource(f"is not read: it {error}, unlike any ordinary feed") from None
    except confined.FunctionFailed as error:
        raise BrokenSource(f"is not a feed: {str(error).removeprefix('NotAFeed: ')}") from None
    left_out = in_words(found["left_out"])
    if not found["items"]:
        raise BrokenSource(f"gives no usable item: {left_out or 'it is a feed without entries'}")
    return Parsed([_item(fields, document.source) for fields in found["items"]], left_out)


def in_words(left_out: Mapping[str, int]) -> str:
    """Return how many entries were left out for each reason, as text; an empty text if there is none."""
    return listed([f"{count} {'entry' if count == 1 else 'entries'} {why}" for why, count in left_out.items()])


def _item(fields: dict[str, Any], source: str) -> FeedItem:
    identity, date = fields.pop("identity"), fields.pop("date")
    return FeedItem(
        id=feed.digest(f"{source} {identity}"), source=source, date=date and datetime.fromisoformat(date), **fields
    )


def first_sentences(text: str, length: int) -> str:
    """Return as many whole sentences as fit into `length` characters, or the beginning of the first."""
    taken = ""
    for sentence in _SENTENCE_END.split(text):
        longer = f"{taken} {sentence}".strip()
        if len(longer) > length:
            break
        taken = longer
    return taken or shorten(text, length)
