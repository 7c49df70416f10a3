"""The posts in CONTENT_DIR that have not been submitted: to come, due, or broken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import settings
from clients import content
from clients.content import Post
from state import hints
from tasks import publisher
from workers.commands import times
from workers.commands.case import Told

#: Files that `status` reads.
MAX_READ = 150


@dataclass(frozen=True)
class PostFile:
    """A post as its file says; `why` is what is wrong with it."""

    id: str
    state: str  #: "to come", "due", "broken" or "held back"
    title: str = ""
    publish_at: datetime | None = None
    destinations: tuple[str, ...] = ()
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        at = self.publish_at and self.publish_at.isoformat()
        return {
            "post": self.id, "state": self.state, "title": self.title, "publish_at": at,
            "destinations": list(self.destinations), "why": self.why,
        }  # fmt: skip

    def told(self) -> Told:
        """Return the three sentences for a post that no call was made for."""
        now = datetime.now(UTC)
        folder = settings.current().content_dir
        if self.state == "broken":
            return Told(
                "No: its file is broken",
                self.why,
                f"Correct the file in {folder}; the publisher takes it at its next run",
            )
        if self.state == "held back":
            return Told("No: its author holds it back", self.why, "Nothing, or change that in the file")
        at = times.when(self.publish_at or now, now)
        if self.state == "to come":
            return Told("No, not yet", f"It is due {at}", "Nothing: the publisher takes it then")
        return Told(
            "No, not yet", f"It is due since {at}, and the publisher did not submit it",
            "See when the publisher runs next, or run it now:", (hints.gatehouse("schedule"), hints.gatehouse("run", "publish")),
        )  # fmt: skip


def are_many() -> bool:
    """Return whether there are more files than are read for a glance: each takes some milliseconds."""
    return next(islice(settings.current().content_dir.rglob("*.m*"), MAX_READ, None), None) is not None


def files() -> Iterator[PostFile]:
    """Yield every post of the folder, oldest first, and then the files that are broken or held back."""
    scan, now = content.scan(), datetime.now(UTC)
    wrong, idle = publisher.unknown_destinations(scan.posts), publisher.without_destination(scan.posts)
    for post in scan.posts:
        state = "to come" if post.publish_at > now else "due"
        state = "broken" if post.id in wrong else "held back" if post.id in idle else state
        why = wrong.get(post.id) or idle.get(post.id, "")
        yield PostFile(post.id, state, post.title, post.publish_at, _targets(post), why)
    for told, state in ((scan.broken, "broken"), (scan.skipped, "held back")):
        for name, why in told.items():
            yield PostFile(Path(name).stem, state, why=why)


def _targets(post: Post) -> tuple[str, ...]:
    enabled = settings.current().publish_to
    return tuple(name for name in post.destinations if name in enabled) if post.destinations else enabled


def find(name: str) -> PostFile | None:
    """Return the post of this id, or the one whose id only it begins with."""
    every = list(files())
    near = [each for each in every if each.id == name] or [each for each in every if name and each.id.startswith(name)]
    return near[0] if len(near) == 1 else None


def ids() -> list[str]:
    """Return the ids of all posts."""
    return [each.id for each in files()]
