"""The publisher: publishes each due post in `content/` to its destinations, once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import structlog

import gatekeeper
import settings
from clients import content, destinations
from clients.content import Post
from clients.destinations import Destination, Published
from gatekeeper import Breaker, Effect, Rate, Rung

log = structlog.get_logger("gatehouse.publisher")

#: Calls submitted in one run: a folder full of old posts is published over hours, not at once.
BATCH_SIZE = 10

#: Broken and skipped files in the state file and in a result, and characters of their names and messages.
MAX_TOLD, MAX_NAME, MAX_WHY = 25, 120, 400


def find_post(post: Post, destination: str) -> Published | None:
    """Look the post up at the destination."""
    return destinations.get(destination).find(post)


def remember(published: Published, post_id: str, destination: str) -> None:
    """Record a published post in the agent's state, whether the attempt or a look-up found it."""
    memory = gatekeeper.memory()
    memory.record("published", post_id, destination, value=published.model_dump(mode="json"))
    memory.count("total_published")
    names = {"agent": "publisher", "task": publish.name, "key": f"publish:{destination}:{post_id}"}
    log.info("published", **names, post=post_id, destination=destination, url=published.url)


@gatekeeper.task(
    key="publish:{destination}:{post_id}",
    rate=Rate("10/hour", scope="{destination}"),  # what fails at one takes no slot of another
    cap="30/day",
    breaker=Breaker(after=3, cooldown="5m", scope="{destination}"),
    effect=Effect(verify=find_post, then=remember, accepts=Rung.RULES),
)
def publish(post_id: str, destination: Destination) -> Published:
    """Publish one post now, whether it is due or not.

    Raises:
        gatekeeper.Refused: the post cannot be used, or the destination lacks a setting.
        NotApplied: it is proven that the post was not published.

    """
    before = gatekeeper.memory().get("published", post_id, destination)
    if before:
        return Published.model_validate(before)
    post = _load(post_id, destination)
    with gatekeeper.effect(payload=post) as frozen:
        return destinations.get(destination).publish(frozen)


@gatekeeper.task()
def publish_next() -> dict[str, list[str]]:
    """Submit a `publish` call per destination for the next due posts.

    The agent's facts say which files are `broken`, and which are `skipped` because their authors hold them back.

    Returns:
        The submitted calls as `DESTINATION:POST`, and the names of the broken and of the skipped files.

    """
    due = content.due(datetime.now(UTC))
    broken = due.broken | unknown_destinations(due.posts)
    skipped = due.skipped | without_destination(due.posts)
    memory = gatekeeper.memory()
    memory.put("broken", _shortened(broken))
    memory.put("skipped", _shortened(skipped))
    submitted: list[str] = []
    for post in due.posts:
        if len(submitted) >= BATCH_SIZE:
            break
        submitted += [_submit(post, destination) for destination in _open_destinations(post)]
    return {"submitted": submitted, "broken": sorted(broken)[:MAX_TOLD], "skipped": sorted(skipped)[:MAX_TOLD]}


def _shortened(told: dict[str, str]) -> dict[str, str] | None:
    """Return what fits into the state file, and how much it leaves out; None for nothing."""
    shown = {name[:MAX_NAME]: why[:MAX_WHY] for name, why in sorted(told.items())[:MAX_TOLD]}
    if len(told) > len(shown):
        shown["more"] = f"{len(told) - len(shown):,} more files; they are named once these are corrected"
    return shown or None


def unknown_destinations(posts: Iterable[Post]) -> dict[str, str]:
    """Return an error for each post that names an unknown destination, for which it would wait for ever."""
    return {
        post.id: f"{post.id}: destinations: {name!r} is not a destination; there are: {', '.join(destinations.KNOWN)}"
        for post in posts
        for name in post.destinations
        if name not in destinations.KNOWN
    }


def without_destination(posts: Iterable[Post]) -> dict[str, str]:
    """Return the reason for each post none of whose destinations is in use."""
    enabled = settings.current().publish_to
    return {
        post.id: f"{post.id}: none of its destinations ({', '.join(post.destinations)}) is in PUBLISH_TO; add one there"
        for post in posts
        if post.destinations
        and not set(post.destinations) & set(enabled)
        and set(post.destinations) <= set(destinations.KNOWN)
    }


def _load(post_id: str, destination: str) -> Post:
    try:
        destinations.check(destination)
        return content.load(post_id)
    except (content.PostNotFound, content.BrokenPost, destinations.NotConfigured) as error:
        raise gatekeeper.Refused(str(error)) from None


def _open_destinations(post: Post) -> list[str]:
    """Return the destinations that the post should go to and has no unresolved or finished key for."""
    enabled = settings.current().publish_to
    wanted = [name for name in enabled if not post.destinations or name in post.destinations]
    memory = gatekeeper.memory()
    return [name for name in wanted if not memory.get("published", post.id, name) and _is_free(post, name)]


def _is_free(post: Post, destination: str) -> bool:
    which = {"post_id": post.id, "destination": destination}
    return publish.key_state(**which) in {None, "rejected"} and not publish.was_observed(**which)


def _submit(post: Post, destination: str) -> str:
    publish.delay(post_id=post.id, destination=destination)
    return f"{destination}:{post.id}"
