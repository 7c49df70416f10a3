"""The drafts in `content/drafts/`: whole posts that wait for a person. Moving one to `content/` publishes it.

A draft's name comes from the items it is about, never from the text, so writing it again is the same file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import yaml

import settings
from clients import content
from clients.content import post
from state import private
from state.files import open_locked, write_atomic
from tasks.writer import summary
from tasks.writer.feed_items import FeedItem
from tasks.writer.summary import Digest

#: How every draft's id begins, so that the feed's own digests are never digested again.
PREFIX = "digest-"
TAG = "digest"

_FOOTER = {
    "rules": "*Gathered by rules, without a model. Every quotation belongs to its source.*",
    "raw": "*Only a list: no model and no rules were at hand.*",
}


class DraftsInUse(Exception):
    """Raised when another run is drafting right now."""


def folder() -> Path:
    """Where drafts wait."""
    return settings.current().content_dir / "drafts"


@contextmanager
def exclusive() -> Iterator[None]:
    """One run at a time: two would draft the same items. The kernel frees the lock of a process that dies."""
    try:
        lock = open_locked(private.folder(folder()) / ".lock", wait=0)
    except BlockingIOError:
        raise DraftsInUse("another run is drafting; it takes what is new") from None
    try:
        yield
    finally:
        os.close(lock)


def links() -> set[str]:
    """Every source that a draft, or a post that was one, is made from."""
    places = (folder(), settings.current().content_dir)
    return {link for place in places for found in content.scan(place).posts for link in found.sources}


def draft_id(items: Sequence[FeedItem]) -> str:
    """The draft's id: the newest item's day, and a digest of all items."""
    days = [item.date for item in items if item.date]
    day = f"{max(days):%Y-%m-%d}-" if days else ""
    return f"{PREFIX}{day}{hashlib.sha256(' '.join(sorted(item.id for item in items)).encode()).hexdigest()[:8]}"


def write(items: Sequence[FeedItem], text: Digest, made_by: str, now: datetime) -> Path:
    """Write the draft whole, unless it is there already: a person may have worked on it."""
    path = folder() / f"{draft_id(items)}.md"
    if not path.exists():
        document = _document(items, text, made_by, now)
        header, body = post.split(document)
        post.build({**header, "body": body})  # moving the file must be enough, so it is read before it is written
        write_atomic(path, document.encode())
    return path


def _document(items: Sequence[FeedItem], text: Digest, made_by: str, now: datetime) -> str:
    header = {
        "id": draft_id(items),
        "title": text.title,
        "publish_at": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "tags": [TAG],
        "made_by": made_by,
        "sources": [item.link for item in items],
    }
    fields = yaml.safe_dump(header, sort_keys=False, allow_unicode=True, width=10_000)
    footer = _FOOTER.get(made_by) or f"*Written by {made_by} from these sources:*\n\n{summary.references(items)}"
    return f"---\n{fields}---\n{text.summary}\n\n{text.body}\n\n{footer}\n"
