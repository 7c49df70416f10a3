"""The drafts in `content/drafts/`: complete posts that wait for a person. Moving one to `content/` publishes it.

A draft's name is derived from its items, not from its text, so drafting the same items again gives the same file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import yaml

import settings
from clients import content
from clients.content import Scan, post
from clients.text import feed
from gatekeeper.errors import Refused
from state import private
from state.files import open_locked, write_atomic
from tasks.writer import summary
from tasks.writer.feed_items import FeedItem
from tasks.writer.summary import Digest

#: The prefix of every draft's id.
PREFIX = "digest-"
TAG = "digest"

_FOOTER = {
    "rules": "*Gathered by rules, without a model. Every quotation belongs to its source.*",
    "raw": "*Only a list: no model and no rules were at hand.*",
}


def folder() -> Path:
    """Return the folder of drafts."""
    return settings.current().content_dir / "drafts"


@contextmanager
def exclusive() -> Iterator[None]:
    """Hold the lock of the folder, because two runs would draft the same items; raises Refused."""
    try:
        lock = open_locked(private.folder(folder()) / ".lock", wait=0)
    except BlockingIOError:
        raise Refused("another run is drafting; it takes what is new") from None
    try:
        yield
    finally:
        os.close(lock)


def waiting() -> Scan:
    """Read the drafts that wait for a person, and the errors of those that cannot be used; without a folder, none."""
    return content.scan(folder()) if folder().is_dir() else Scan()


def drafted() -> Callable[[FeedItem], bool]:
    """Return a function that tells whether a draft or a post is about an item.

    Older drafts have no `source_ids`. One is about an item that has its link, unless the item is newer than the draft.
    """
    posts = [post for scan in (waiting(), content.scan()) for post in scan.posts]
    ids = {source_id for post in posts for source_id in post.source_ids}
    old = {feed.absolute(link): post.publish_at for post in posts if not post.source_ids for link in post.sources}

    def is_drafted(item: FeedItem) -> bool:
        at = old.get(item.link)
        return item.id in ids or (at is not None and (item.date is None or item.date <= at))

    return is_drafted


def draft_id(items: Sequence[FeedItem]) -> str:
    """Return the id of the draft of these items: the newest item's day, and a digest of all item ids."""
    days = [item.date for item in items if item.date]
    day = f"{max(days):%Y-%m-%d}-" if days else ""
    return f"{PREFIX}{day}{hashlib.sha256(' '.join(sorted(item.id for item in items)).encode()).hexdigest()[:8]}"


def write(items: Sequence[FeedItem], text: Digest, made_by: str, now: datetime) -> Path:
    """Write a draft, unless its file exists: a person may have edited it.

    Args:
        items: The items that the draft is about.
        text: The draft's text.
        made_by: The model or the rung that wrote it.
        now: The draft's `publish_at`.

    Returns:
        The draft's file.

    """
    path = folder() / f"{draft_id(items)}.md"
    if not path.exists():
        document = _document(items, text, made_by, now)
        header, body = post.split(document)
        post.build({**header, "body": body})  # moving the file must suffice to publish it, so it is validated first
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
        "source_ids": [item.id for item in items],
    }
    fields = yaml.safe_dump(header, sort_keys=False, allow_unicode=True, width=10_000)
    footer = _FOOTER.get(made_by) or f"*Written by {made_by} from these sources:*\n\n{summary.references(items)}"
    return f"---\n{fields}---\n{text.summary}\n\n{text.body}\n\n{footer}\n"
