"""The posts to publish: the Markdown files in `content/`, read afresh each time they are asked for."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import settings
from clients.content import post
from clients.content.post import BrokenPost, Post

__all__ = ["BrokenPost", "Post", "PostNotFound", "Scan", "due", "load", "scan"]

#: A long novel is under 1 MB of text; anything bigger in this folder is there by mistake.
MAX_POST = 1_000_000


class PostNotFound(LookupError):
    """Raised when no file in the content folder has the post's id."""


@dataclass(frozen=True)
class Scan:
    """What the content folder holds: `posts`, oldest `publish_at` first, and `broken`, file name to error."""

    posts: tuple[Post, ...] = ()
    broken: dict[str, str] = field(default_factory=dict)


def load(post_id: str, folder: Path | None = None) -> Post:
    """Return the post with this id; the id is compared, never made into a path."""
    folder = folder or settings.current().content_dir
    found = [reading.outcome for reading in _readings(folder) if reading.id == post_id]
    for outcome in found:
        if isinstance(outcome, Post):
            return outcome
        raise BrokenPost(outcome)
    raise PostNotFound(f"no post {post_id[:80]!r} in {folder}; write one as a .md file there, or correct the id")


def scan(folder: Path | None = None) -> Scan:
    """Read every post; a broken one is reported and never stops the others."""
    readings = list(_readings(folder or settings.current().content_dir))
    posts = [reading.outcome for reading in readings if isinstance(reading.outcome, Post)]
    return Scan(
        posts=tuple(sorted(posts, key=lambda post: (post.publish_at, post.id))),
        broken={reading.name: reading.outcome for reading in readings if isinstance(reading.outcome, str)},
    )


def due(now: datetime, folder: Path | None = None) -> Scan:
    """Like `scan`, with only the posts whose time has come."""
    found, moment = scan(folder), post.utc(now)
    return replace(found, posts=tuple(post for post in found.posts if post.publish_at <= moment))


@dataclass(frozen=True)
class _Reading:
    """One file: its name, the id it claims, and the post or what is wrong with it."""

    name: str
    id: str
    outcome: Post | str


def _readings(folder: Path) -> Iterable[_Reading]:
    """Every file, those with a post first."""
    try:
        home = folder.resolve(strict=True)
        paths = sorted(home.iterdir())
    except OSError as error:
        why = f"{folder}: {error.strerror}; create the folder or point CONTENT_DIR at the posts"
        return [_Reading(folder.name, "", why)]
    readings = _without_twins([_read(path, home) for path in paths if _is_post(path.name)])
    return sorted(readings, key=lambda reading: isinstance(reading.outcome, str))


def _is_post(name: str) -> bool:
    """Hidden files are editors' drafts and locks."""
    return name.endswith(".md") and not name.startswith(".") and name.lower() != "readme.md"


def _without_twins(readings: list[_Reading]) -> Iterator[_Reading]:
    names = defaultdict(list)
    for reading in readings:
        if isinstance(reading.outcome, Post):
            names[reading.id].append(reading.name)
    for reading in readings:
        others = ", ".join(name for name in names[reading.id] if name != reading.name)
        has_twin = others and isinstance(reading.outcome, Post)
        yield replace(reading, outcome=_twin_error(reading, others)) if has_twin else reading


def _twin_error(reading: _Reading, others: str) -> str:
    return f"{reading.name}: the id {reading.id!r} is also in {others}; give each file an id of its own"


def _read(path: Path, home: Path) -> _Reading:
    name, post_id = os.fsencode(path.name).decode(errors="replace"), path.stem
    try:
        header, body = post.split(_text(path, home))
        post_id = str(header.get("id", post_id))
        return _Reading(name, post_id, post.build({"id": post_id, **header, "body": body}))
    except BrokenPost as error:
        return _Reading(name, post_id, f"{name}: {error}")
    except (OSError, RuntimeError) as error:  # pathlib reports a circle of links as RuntimeError
        why = getattr(error, "strerror", None) or "it links to itself"
        return _Reading(name, post_id, f"{name}: cannot be read: {why}; repair or remove it")


def _text(path: Path, home: Path) -> str:
    real = path.resolve(strict=True)
    if not real.is_relative_to(home):
        raise BrokenPost("is a link out of the content folder; put a copy there instead")
    if not real.is_file():
        raise BrokenPost("is not a regular file; rename or remove it")
    with real.open("rb") as file:
        data = file.read(MAX_POST + 1)
    if len(data) > MAX_POST:
        raise BrokenPost(f"is larger than {MAX_POST:,} bytes; shorten or split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BrokenPost(f"is not UTF-8 at byte {error.start}; save it as UTF-8") from error
