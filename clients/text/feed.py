"""Parse an RSS or Atom feed into items with plain text and safe links.

The regular expressions of feedparser take quadratic time for some inputs, so `tasks.writer.feed_items` runs `parse` in a
confined child process, and `parse` returns only what JSON can carry.
"""

from __future__ import annotations

import calendar
import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import escape, unescape
from typing import Any
from urllib.parse import quote, urldefrag, urljoin, urlsplit

import feedparser
from feedparser.api import StrictFeedParser

from clients.text.html import plain
from clients.text.markdown import shorten

#: Characters. Enough to tell what an item is about; the reader follows its link for the rest.
MAX_TITLE, MAX_TEXT = 200, 1_500
#: Characters of a link. Longer ones do not work everywhere; those of alert services have about 500.
MAX_LINK = 2_048
#: Characters of the text that stands for a missing title.
MAX_TITLE_FROM_TEXT = 90
#: Items of one feed; a feed of 2 MiB can hold fifty times as many.
MAX_ITEMS = 1_000
#: Characters of an item's guid that are kept.
MAX_GUID = 500

#: An item dated later than this is treated as undated.
MAX_CLOCK_SKEW = timedelta(days=1)

_XML_DECLARATION = re.compile(r"\s*<\?xml[^>]{0,500}\?>")
_WEB_PAGE = re.compile(r"(?i)\s*(?:<!--.{0,2000}?-->\s*)?<(?:!doctype\s+html|html)\b", re.DOTALL)
#: The link by which a web page names its feed, and the address in it.
_FEED_LINK = re.compile(r"(?i)<link\b[^<>]{0,500}?application/(?:rss|atom)\+xml[^<>]{0,500}>")
_HREF = re.compile(r"""(?i)\bhref\s{0,5}=\s{0,5}["']?([^"'<>\s]{1,500})""")
#: A tag by which a plain text gives away that it is HTML.
_HTML_TAG = re.compile(r"(?i)</(?:p|a|b|i|em|strong|div|span|ul|li|h[1-6])>|<(?:br|p|img)\b")
#: Characters that have a meaning in URLs; all others are percent-encoded, so that none can end a Markdown link.
_URL_CHARACTERS = "%!$&()*+,/:;=?@~"


#: A name or an address, and a port; nothing that a reader could take for another host.
_HOST = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")

# The address of a feed must not become part of a guid, because it changes with the server's redirects.
StrictFeedParser.can_be_relative_uri.discard("id")


class NotAFeed(ValueError):
    """Raised for a document that is not a feed; the message says why."""


def parse(text: str) -> dict[str, Any]:
    """Parse a feed.

    Args:
        text: The URL that relative links start from, or nothing; a line feed; and the document.

    Returns:
        `items` in the order of the document, each as the fields of `tasks.writer.feed_items.FeedItem` except `source`,
        and `left_out`, how many entries were left out for each reason.

    Raises:
        NotAFeed: the document is neither RSS nor Atom.

    """
    base, _, document = text.partition("\n")
    data = _XML_DECLARATION.sub("", document, count=1).encode(errors="replace")
    # BytesIO, because feedparser fetches a string that looks like a URL. Sanitizing takes quadratic time and is not
    # needed: only the plain text of the HTML is used.
    headers = {"content-location": base, "content-type": "application/xml; charset=utf-8"}
    parsed = feedparser.parse(
        io.BytesIO(data), response_headers=headers, sanitize_html=False, resolve_relative_uris=False
    )
    if not parsed.version:
        raise NotAFeed(_instead_of_a_feed(document, base, parsed.get("bozo_exception")))
    base = base or _own_address(parsed.feed)
    items, left_out = [], Counter[str]()
    for entry in parsed.entries:
        link, why = _link(entry, base)
        if why:
            left_out[why] += 1
        else:
            items.append(_item(entry, link))
    if len(items) > MAX_ITEMS:
        left_out[f"beyond the newest {MAX_ITEMS:,}"] = len(items) - MAX_ITEMS
        items = sorted(items, key=lambda item: str(item["date"] or ""), reverse=True)[:MAX_ITEMS]
    return {"items": items, "left_out": left_out}


def _instead_of_a_feed(document: str, base: str, error: object) -> str:
    if _WEB_PAGE.match(document):
        found = _FEED_LINK.search(document)
        href = _HREF.search(found[0]) if found else None
        own = absolute(unescape(href[1]), base) if href else None
        return f"it is a web page; {f'its feed is {own}' if own else 'look there for the address of the feed'}"
    if document.lstrip()[:1] in {"{", "["}:
        return "it is JSON; RSS and Atom are read"
    return " ".join(str(error or "neither RSS nor Atom").split())[:200]


def _own_address(feed: Any) -> str:
    """Return the address that a feed gives for itself or its site, for a document that was not fetched from one."""
    own = [link.get("href", "") for link in feed.get("links", []) if link.get("rel") == "self"]
    return next((url for url in map(str, [feed.get("link", ""), *own]) if "://" in url), "")


def _item(entry: Any, link: str) -> dict[str, Any]:
    guid, text, date = str(entry.get("id") or ""), plain(_summary(entry)), _date(entry)
    title = plain(_markup(entry, "title")) or shorten(text, MAX_TITLE_FROM_TEXT) or link.partition("://")[2]
    old_identity = guid or urldefrag(str(entry.get("link", "")).strip())[0]
    return {
        "guid": guid[:MAX_GUID],
        "identity": digest(f"{guid} {link.partition('://')[2]}"),  # http and https are one page
        "title": shorten(title, MAX_TITLE),
        "link": link,
        "text": shorten(text, MAX_TEXT),
        "date": date and date.isoformat(),
        "old_id": digest(old_identity),
        "old_title": shorten(plain(str(entry.get("title", ""))), MAX_TITLE),  # as before plain text kept its `<T>`
    }


def digest(identity: str) -> str:
    """Return 16 hex digits that stand for a text."""
    return hashlib.sha256(identity.encode(errors="replace")).hexdigest()[:16]


def _link(entry: Any, base: str) -> tuple[str, str]:
    """Return the first usable link of an entry and an empty text, or an empty link and the reason."""
    why = "without a link"
    for candidate in _candidates(entry):
        link = absolute(candidate, base)
        if link is None:
            why = "with a relative link in a feed that does not say its own address"
        elif len(link) > MAX_LINK:
            why = f"with a link of more than {MAX_LINK:,} characters"
        elif not _is_safe(link):
            why = "with a link that is not a plain http or https URL"
        else:
            return link, ""
    return "", why


def _candidates(entry: Any) -> Iterator[str]:
    """Yield the links of an entry, the best first: its page, other forms of it, its guid, and what is attached to it."""
    guid, link = str(entry.get("id") or "").strip(), str(entry.get("link") or "").strip()
    links = [link for link in entry.get("links", []) if link.get("href")]
    others = [str(each["href"]).strip() for rel in ("alternate", "enclosure", "via", "related", "self") for each in links
              if each.get("rel") == rel]  # fmt: skip
    is_guid = link == guid and "://" not in link and not link.startswith("/")  # a guid is only meant to be a link
    return filter(None, ["" if is_guid else link, guid if "://" in guid else "", *others])


def absolute(link: str, base: str = "") -> str | None:
    """Return a link as an absolute URL in ASCII, or None for a relative link without a base."""
    try:
        joined = urljoin(base, re.sub(r"[\t\r\n]", "", link))
        parts = urlsplit(f"https:{joined}" if joined.startswith("//") else joined)
        if not parts.scheme:
            return None
        host = parts.netloc.encode("idna").decode() if len(parts.netloc) < MAX_GUID else ""
    except ValueError:  # UnicodeError is one too
        return ""
    path, query, fragment = (quote(part, safe=_URL_CHARACTERS) for part in parts[2:])
    return parts._replace(netloc=host, path=path, query=query, fragment=fragment).geturl()


def _is_safe(link: str) -> bool:
    """Return whether a link is a web URL that cannot disguise its host."""
    parts = urlsplit(link)
    return parts.scheme in {"http", "https"} and bool(_HOST.fullmatch(parts.netloc))


def _markup(entry: Any, name: str) -> str:
    """Return a field of an entry as HTML; a plain text is escaped, so that `<T>` in it stays."""
    text = str(entry.get(name) or "")
    is_plain = (entry.get(f"{name}_detail") or {}).get("type") == "text/plain"
    return escape(text) if is_plain and not (name != "title" and _HTML_TAG.search(text)) else text


def _summary(entry: Any) -> str:
    """Return an item's summary, or its first content if it has none."""
    contents = [str(content.get("value", "")) for content in entry.get("content", [])]
    return _markup(entry, "summary") or next(iter(contents), "")


def _date(entry: Any) -> datetime | None:
    """Return an item's date; None if it lies in the future, because such an item would stay the newest for ever."""
    parsed = dict.get(entry, "published_parsed") or dict.get(entry, "updated_parsed")
    try:
        date = datetime.fromtimestamp(calendar.timegm(parsed), UTC) if parsed else None
    except (ValueError, OverflowError, OSError):
        return None
    return date if date and date < datetime.now(UTC) + MAX_CLOCK_SKEW else None
