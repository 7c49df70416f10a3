"""What a feed offers: its items as plain text with safe links, whoever wrote them and however."""

from __future__ import annotations

import calendar
import hashlib
import io
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import urldefrag, urlsplit

import feedparser

from clients.markdown import shorten
from clients.sources import BrokenSource

#: Characters. Enough to say what an item is about; the rest is behind its link.
LONGEST_TITLE, LONGEST_TEXT, LONGEST_LINK = 200, 1_500, 300

CLOCKS_DIFFER = timedelta(days=1)

_SILENT = re.compile(r"<(?P<tag>script|style)\b|<!--")
#: Blocks stand apart; a word may be half bold.
_BLOCK = re.compile(r"(?i)</?(?:p|br|div|li|ul|ol|h[1-6]|tr|td|th|blockquote|pre)\b[^<>]*>")
_TAG = re.compile(r"</?[a-z!][^<>]*>", re.IGNORECASE)

#: A space behind `.`, or behind `."`, before what begins like a sentence.
_SENTENCE_END = re.compile('(?:(?<=[.!?…])|(?<=[.!?…]["\u201d\u2019)]))\\s+(?=["\u201c\u2018(]?[^\\W\\d_a-z])')


@dataclass(frozen=True)
class Item:
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


def parse(data: bytes, source: str) -> list[Item]:
    """The items of an RSS or Atom document, as they stand there; raises BrokenSource if it is none."""
    if not data:
        return []
    # A file, because a text would be taken for an address and fetched. We take the words and leave the HTML, so it need
    # not be made safe, for which feedparser takes time by the square of the length.
    found = feedparser.parse(io.BytesIO(data), sanitize_html=False, resolve_relative_uris=False)
    if not found.version:
        why = found.get("bozo_exception") or "no RSS and no Atom"
        raise BrokenSource(f"is no feed: {' '.join(str(why).split())[:200]}")
    return [item for entry in found.entries if (item := _item(entry, source))]


def first_sentences(text: str, length: int) -> str:
    """As many whole sentences as fit, or the beginning of the first."""
    taken = ""
    for sentence in _SENTENCE_END.split(text):
        longer = f"{taken} {sentence}".strip()
        if len(longer) > length:
            break
        taken = longer
    return taken or shorten(text, length)


def _item(entry: Any, source: str) -> Item | None:
    """None for an item that cannot be linked to or has no title: a reader could not be led to it."""
    link, title = urldefrag(str(entry.get("link", "")).strip())[0], plain(str(entry.get("title", "")))
    if not _is_safe(link) or not title:
        return None
    identity = str(entry.get("id") or link)
    return Item(
        id=hashlib.sha256(identity.encode(errors="replace")).hexdigest()[:16],
        source=source,
        title=shorten(title, LONGEST_TITLE),
        link=link,
        text=shorten(plain(_own_words(entry)), LONGEST_TEXT),
        date=_date(entry),
    )


def _is_safe(link: str) -> bool:
    """Nothing in it may end a Markdown link early, hide another host, or be anything but the web."""
    if len(link) > LONGEST_LINK or re.search(r"[\s<>\"\\\x00-\x1f]", link) or not link.isprintable():
        return False
    try:
        parts = urlsplit(link)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc


def _own_words(entry: Any) -> str:
    """An item's own summary; without one, the beginning of what it says."""
    contents = [str(content.get("value", "")) for content in entry.get("content", [])]
    return str(entry.get("summary") or next(iter(contents), ""))


def _date(entry: Any) -> datetime | None:
    """None for a date to come, too: it would be the newest item for ever."""
    parsed = dict.get(entry, "published_parsed") or dict.get(entry, "updated_parsed")
    try:
        date = datetime.fromtimestamp(calendar.timegm(parsed), UTC) if parsed else None
    except (ValueError, OverflowError, OSError):
        return None
    return date if date and date < datetime.now(UTC) + CLOCKS_DIFFER else None


def plain(html: str) -> str:
    """The words of a piece of HTML on one line, without control characters and without those that turn text around.

    By hand: parsers of HTML take time by the square of the length for what strangers may send.
    """
    words = unescape(_TAG.sub("", _BLOCK.sub(" ", " ".join(_spoken(html)))))
    return " ".join("".join(" " if c.isspace() else c for c in words if c.isspace() or _is_shown(c)).split())


def _is_shown(character: str) -> bool:
    return unicodedata.category(character) not in {"Cc", "Cf", "Co", "Cs", "Cn"}


def _spoken(html: str) -> Iterator[str]:
    """The pieces outside of scripts, styles and comments; what does not end ends the text."""
    at, lower = 0, html.lower()
    while silent := _SILENT.search(lower, at):
        yield html[at : silent.start()]
        end = "-->" if silent["tag"] is None else f"</{silent['tag']}"
        at = lower.find(end, silent.end())
        if at < 0:
            return
        at += len(end) if silent["tag"] is None else 0
    yield html[at:]
