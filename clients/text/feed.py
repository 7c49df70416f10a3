"""Read a feed: its items as plain text with safe links, whoever wrote them and however.

`tasks.writer.feed_items` runs `entries` in a process of its own, because the regular expressions of feedparser take time by the
square of the length for what strangers may send. So the answers are made of what JSON can carry.
"""

from __future__ import annotations

import calendar
import hashlib
import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urldefrag, urlsplit

import feedparser

from clients.text.charsets import codec
from clients.text.html import plain
from clients.text.markdown import shorten

#: Characters. Enough to say what an item is about; the rest is behind its link.
MAX_TITLE, MAX_TEXT, MAX_LINK = 200, 1_500, 300

MAX_CLOCK_SKEW = timedelta(days=1)

#: The encoding that the first line of a document names.
_DECLARATION = re.compile(rb"""\s*<\?xml[^>]{0,200}?encoding\s{0,10}=\s{0,10}["']([^"'>]{0,100})["']""")


class NotAFeed(ValueError):
    """Raised for a document that is not a feed; says why."""


def entries(data: bytes) -> list[dict[str, Any]]:
    """The items of an RSS or Atom document as they stand there, as fields of an Item; raises NotAFeed if it is not one."""
    declared = _DECLARATION.match(data[:1_000])
    if declared and codec(declared[1].decode("ascii", "replace")) is None:
        raise NotAFeed(f"it declares the encoding {declared[1].decode('ascii', 'replace')[:40]!r}; write it in UTF-8")
    # A file, because a text would be taken for an address and fetched. We take the words and leave the HTML, so it need
    # not be made safe, for which feedparser takes time by the square of the length.
    found = feedparser.parse(io.BytesIO(data), sanitize_html=False, resolve_relative_uris=False)
    if not found.version:
        raise NotAFeed(" ".join(str(found.get("bozo_exception") or "no RSS and no Atom").split())[:200])
    return [item for entry in found.entries if (item := _item(entry))]


def _item(entry: Any) -> dict[str, Any] | None:
    """None for an item that cannot be linked to or has no title: a reader could not be led to it."""
    link, title = urldefrag(str(entry.get("link", "")).strip())[0], plain(str(entry.get("title", "")))
    if not _is_safe(link) or not title:
        return None
    identity, date = str(entry.get("id") or link), _date(entry)
    return {
        "id": hashlib.sha256(identity.encode(errors="replace")).hexdigest()[:16],
        "title": shorten(title, MAX_TITLE),
        "link": link,
        "text": shorten(plain(_own_words(entry)), MAX_TEXT),
        "date": date and date.isoformat(),
    }


def _is_safe(link: str) -> bool:
    """Nothing in it may end a Markdown link early, hide another host, or be anything but the web."""
    if len(link) > MAX_LINK or re.search(r"[\s<>\"\\\x00-\x1f]", link) or not link.isprintable():
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
    return date if date and date < datetime.now(UTC) + MAX_CLOCK_SKEW else None
