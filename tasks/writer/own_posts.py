"""The house's own posts, which are not news: the writer would digest what the publisher put out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import settings
from clients.destinations.feed import TAG
from clients.destinations.feed_store import FeedStore
from state.agents.snapshot import snapshot
from tasks.writer.feed_items import FeedItem

#: The agent whose state says where each post is.
PUBLISHER = "publisher"


def recognizer() -> Callable[[FeedItem], bool]:
    """Return a function that tells whether an item is one of our own posts; raises StoreError.

    An item is ours if its link is below the pages of our feed or is where the publisher put a post, or if it has the
    guid and the title of an entry of our feed: aggregators rewrite links. A guid alone is not enough, since each
    Gatehouse makes its guids in the same way.
    """
    here = settings.current()
    pages = tuple(_without_scheme(f"{url}/posts/") for url in {here.public_url, here.web_url})
    published = {_without_scheme(url) for url in _urls(snapshot(PUBLISHER).facts.get("published"))}
    store = FeedStore(here.public_dir)

    def is_ours(item: FeedItem) -> bool:
        link = _without_scheme(item.link)
        if link.startswith(pages) or link in published:
            return True
        entry = store.get(item.guid.removeprefix(TAG)) if item.guid.startswith(TAG) else None
        return entry is not None and entry.title == item.title

    return is_ours


def _urls(published: Any) -> list[str]:
    """Return the URLs in the publisher's fact `published`: post → destination → where it is."""
    posts = published.values() if isinstance(published, dict) else ()
    return [str(each["url"]) for post in posts for each in post.values() if each.get("url")]


def _without_scheme(url: str) -> str:
    return url.partition("://")[2].lower()
