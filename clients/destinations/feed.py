"""Publish a post in the local feed: an Atom feed, a page per post and an index, as files for any web server.

Publishing is idempotent: a post that is published again keeps its place, so a look-up is never needed to be safe.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path

from jinja2 import Environment

import settings
from clients.content import Post, pages
from clients.destinations import Published
from clients.destinations.feed_store import FeedEntry, FeedStore
from clients.text import markdown
from clients.text.words import clean
from gatekeeper.errors import NotApplied
from state.files import PATIENCE, UNFINISHED, open_locked, write_atomic

#: Feed readers fetch the whole feed each time; fifty posts cover weeks at several posts a day.
FEED_LENGTH = 50

#: The prefix of all ids in the feed (RFC 4151); it must not change with the host or the port.
TAG = "tag:gatehouse.local,2026:"


def publish(post: Post) -> Published:
    """Publish a post in this system's own feed; see `Publishing`."""
    here = settings.current()
    return Feed(here.public_dir, here.public_url).publish(post)


def find(post: Post) -> Published | None:
    """Look up a post in this system's own feed; see `Publishing`."""
    here = settings.current()
    return Feed(here.public_dir, here.public_url).find(post)


UTC_NOW = partial(datetime.now, UTC)


@dataclass(frozen=True)
class Feed:
    """The feed in one folder.

    Attributes:
        public: The folder.
        web_url: The URL at which the folder is served.
        now: The clock.

    """

    public: Path
    web_url: str
    now: Callable[[], datetime] = UTC_NOW

    @property
    def store(self) -> FeedStore:
        return FeedStore(self.public)

    @property
    def posts(self) -> Path:
        return self.public / "posts"

    def publish(self, post: Post) -> Published:
        """Publish a post; one that is published already keeps its place and its first `published_at`.

        Raises:
            NotApplied: the post cannot be rendered within the limits.

        """
        for folder in (self.posts, self.store.folder):
            folder.mkdir(parents=True, exist_ok=True)
        content, summary = _rendered(post)  # before taking the lock that other publishers wait for
        with self._exclusive(post.id):
            entry = self._record(post, content, summary)
            self._write_page(entry)
            self._write_lists()
        return self._published(entry)

    def find(self, post: Post) -> Published | None:
        """Return the post if it is completely published; publishing one that is incomplete finishes it in its place."""
        lock = self.public / ".lock"
        unfinished = lock.read_text() if lock.exists() else ""
        entry = self.store.get(post.id)
        return None if entry is None or unfinished == post.id else self._published(entry)

    def _published(self, entry: FeedEntry) -> Published:
        return Published(published_at=entry.published_at, url=self._url(entry), id=f"{TAG}{entry.id}")

    @contextmanager
    def _exclusive(self, post_id: str) -> Iterator[None]:
        """Hold the publishers' lock. The lock file names the post in progress, so that the next one repairs after a kill."""
        path = self.public / ".lock"
        try:
            lock = open_locked(path, wait=PATIENCE)
        except BlockingIOError as error:
            raise NotApplied(f"the feed cannot be written: {error}") from error
        try:
            if interrupted := path.read_text():
                self._repair(interrupted)
            _note(lock, post_id)
            yield
            _note(lock, "")
        finally:
            os.close(lock)

    def _repair(self, interrupted: str) -> None:
        for folder in (self.public, self.posts, self.store.folder):
            for unfinished in folder.glob(f".*{UNFINISHED}"):
                unfinished.unlink(missing_ok=True)
        self.store.rebuild()
        if entry := self.store.get(interrupted):
            self._write_page(entry)

    def _record(self, post: Post, content: str, summary: str) -> FeedEntry:
        now, known = self.now(), self.store.get(post.id)
        entry = _entry(post, content, summary, known.published_at if known else now, now)
        if known and entry == known.model_copy(update={"updated_at": now}):
            return known
        self.store.put(entry)
        return entry

    def _write_lists(self) -> None:
        newest = self.store.newest()
        for entry in newest:
            if not (self.posts / f"{entry.id}.html").exists():
                self._write_page(entry)
        self._write(self.public / "feed.css", "feed.css")  # before the feed, which names it
        self._write(self.public / "feed.xml", "feed.xml", entries=newest[:FEED_LENGTH])
        by_date = sorted(newest, key=lambda entry: (entry.date, entry.published_at), reverse=True)
        self._write(self.posts / "index.html", "index.html", entries=by_date)

    def _write_page(self, entry: FeedEntry) -> None:
        self._write(self.posts / f"{entry.id}.html", "post.html", entry=entry)

    def _write(self, path: Path, template: str, **values: object) -> None:
        text = _templates().get_template(template).render(url=self._url, web_url=self.web_url, tag=TAG, **values)
        data = clean(text).encode()  # an entry of an earlier version may hold what XML forbids
        if not path.exists() or path.read_bytes() != data:
            write_atomic(path, data, public=True)

    def _url(self, entry: FeedEntry) -> str:
        return f"{self.web_url}/posts/{entry.id}.html"


def _rendered(post: Post) -> tuple[str, str]:
    """Return the post's HTML and its first paragraph; raises NotApplied if it cannot be rendered within the limits."""
    try:
        return markdown.to_html(post.body, pages.link_base(post.id)), markdown.first_paragraph(post.body)
    except markdown.RenderError as error:
        raise NotApplied(f"{post.id}: {error}", temporary=False, change="the text of the post") from None


def _entry(post: Post, content: str, summary: str, published_at: datetime, now: datetime) -> FeedEntry:
    return FeedEntry(
        id=post.id,
        title=post.title,
        date=min(post.publish_at, published_at),  # a post that is published early is not dated in the future
        published_at=published_at,
        updated_at=now,
        tags=tuple(dict.fromkeys(post.tags)),
        summary=summary,
        content=content,
    )


def _note(lock: int, post_id: str) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, post_id.encode(), 0)
    os.fsync(lock)


@cache
def _templates() -> Environment:
    return pages.environment()
