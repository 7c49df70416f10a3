"""The publisher: takes the posts that are due from `content/` and publishes each to its destinations, once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import gatekeeper
import settings
from clients import content, destinations
from clients.content import Post
from clients.destinations import Destination, Published
from gatekeeper import Breaker, Effect, Rung

#: Posts taken up in one run: a folder full of old posts goes out over hours, not at once.
BATCH_SIZE = 10


def find_post(post: Post, destination: str) -> Published | None:
    """Ask the destination whether the post is out."""
    return destinations.get(destination).find(post)


def remember(published: Published, post_id: str, destination: str) -> None:
    """Write a post that is out into the state, whoever found out."""
    memory = gatekeeper.memory()
    memory.record("published", post_id, destination, value=published.model_dump(mode="json"))
    memory.count("total_published")


@gatekeeper.task(
    key="publish:{destination}:{post_id}",
    rate="10/hour",
    cap="30/day",
    breaker=Breaker(after=3, cooldown="5m", scope="{destination}"),
    effect=Effect(verify=find_post, then=remember, accepts=Rung.RULES),
)
def publish(post_id: str, destination: Destination) -> Published:
    """Publish the named post now, due or not."""
    before = gatekeeper.memory().get("published", post_id, destination)
    if before:
        return Published.model_validate(before)
    post = _load(post_id, destination)
    with gatekeeper.effect(payload=post) as frozen:
        return destinations.get(destination).publish(frozen)


@gatekeeper.task()
def publish_next() -> dict[str, list[str]]:
    """Submit one `publish` per destination for the next posts that are due; broken ones are told in the state."""
    found = content.due(datetime.now(UTC))
    broken = found.broken | _lost(found.posts)
    gatekeeper.memory().put("broken", broken or None)
    submitted: list[str] = []
    for post in found.posts:
        if len(submitted) >= BATCH_SIZE:
            break
        submitted += [_submit(post, destination) for destination in _open_destinations(post)]
    return {"submitted": submitted, "broken": sorted(broken)}


def _lost(posts: Iterable[Post]) -> dict[str, str]:
    """Return the posts that name an unknown destination, for which they would wait for ever."""
    known = destinations.names()
    return {
        post.id: f"{post.id}: destinations: {name!r} is no destination; there are: {', '.join(known)}"
        for post in posts
        for name in post.destinations
        if name not in known
    }


def _load(post_id: str, destination: str) -> Post:
    try:
        destinations.check(destination)
        return content.load(post_id)
    except (content.PostNotFound, content.BrokenPost, destinations.NotConfigured) as error:
        raise gatekeeper.Refused(str(error)) from None


def _open_destinations(post: Post) -> list[str]:
    """Where this post should go and nothing has been decided yet."""
    enabled = settings.current().publish_to
    wanted = [name for name in enabled if not post.destinations or name in post.destinations]
    memory = gatekeeper.memory()
    return [name for name in wanted if not memory.get("published", post.id, name) and _is_free(post, name)]


def _is_free(post: Post, destination: str) -> bool:
    return publish.key_state(post_id=post.id, destination=destination) in {None, "rejected"}


def _submit(post: Post, destination: str) -> str:
    publish.delay(post_id=post.id, destination=destination)
    return f"{destination}:{post.id}"
