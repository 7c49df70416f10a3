"""Parse an RSS or Atom feed into items with plain text and safe links.

The regular expressions of feedparser take quadratic time for some inputs, so `tasks.writer.feed_items` runs `entries` in a
confined child process, and `entries` returns only what JSON can carry.
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

#: Characters. Enough to tell what an item is about; the reader follows its link for the rest.
MAX_TITLE, MAX_TEXT, MAX_LINK = 200, 1_500, 300

#: An item dated later than this is treated as undated.
MAX_CLOCK_SKEW = timedelta(days=1)

#: The encoding in an XML declaration.
_DECLARATION = re.compile(rb"""\s*<\?xml[^>]{0,200}?encoding\s{0,10}=\s{0,10}["']([^"'>]{0,100})["']""")


class NotAFeed(ValueError):
    """Raised for a document that is not a feed; the message says why."""


def entries(data: bytes) -> list[dict[str, Any]]:
    """Parse a feed.

    Args:
        data: An RSS or Atom document.

    Returns:
        The items in the order of the document, each as the fields of `tasks.writer.feed_items.Item` except `source`.

    Raises:
        NotAFeed: the document is neither RSS nor Atom, or declares an encoding that is not supported.

    """
    declared = _DECLARATION.match(data[:1_000])
    if declared and codec(declared[1].decode("ascii", "replace")) is None:
        raise NotAFeed(f"it declares the encoding {declared[1].decode('ascii', 'replace')[:40]!r}; write it in UTF-8")
    # BytesIO, because feedparser fetches a string that looks like a URL. Sanitizing takes quadratic time and is not
    # needed: only the plain text of the HTML is used.
    parsed = feedparser.parse(io.BytesIO(data), sanitize_html=False, resolve_relative_uris=False)
    if not parsed.version:
        raise NotAFeed(" ".join(str(parsed.get("bozo_exception") or "neither RSS nor Atom").split())[:200])
    return [item for entry in parsed.entries if (item := _item(entry))]


def _item(entry: Any) -> dict[str, Any] | None:
    """Return one item, or None if it has no title or no safe link."""
    link, title = urldefrag(str(entry.get("link", "")).strip())[0], plain(str(entry.get("title", "")))
    if not _is_safe(link) or not title:
        return None
    identity, date = str(entry.get("id") or link), _date(entry)
    return {
        "id": hashlib.sha256(identity.encode(errors="replace")).hexdigest()[:16],
        "title": shorten(title, MAX_TITLE),
        "link": link,
        "text": shorten(plain(_summary(entry)), MAX_TEXT),
        "date": date and date.isoformat(),
    }


def _is_safe(link: str) -> bool:
    """Return whether a link is a web URL that can neither break out of a Markdown link nor disguise its host."""
    if len(link) > MAX_LINK or re.search(r"[\s<>\"\\\x00-\x1f]", link) or not link.isprintable():
        return False
    try:
        parts = urlsplit(link)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc


def _summary(entry: Any) -> str:
    """Return an item's summary, or its first content if it has none."""
    contents = [str(content.get("value", "")) for content in entry.get("content", [])]
    return str(entry.get("summary") or next(iter(contents), ""))


def _date(entry: Any) -> datetime | None:
    """Return an item's date; None if it lies in the future, because such an item would stay the newest for ever."""
    parsed = dict.get(entry, "published_parsed") or dict.get(entry, "updated_parsed")
    try:
        date = datetime.fromtimestamp(calendar.timegm(parsed), UTC) if parsed else None
    except (ValueError, OverflowError, OSError):
        return None
    return date if date and date < datetime.now(UTC) + MAX_CLOCK_SKEW else None
