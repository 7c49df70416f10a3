"""A person's decision about a draft: approved, it is a post; rejected, it is kept beside the drafts with the reason."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

import settings
from clients import content
from clients.content import BrokenPost, PostNotFound, post
from state import hints
from state.files import sync_folder, write_atomic
from tasks.writer import drafts

#: The suffix of a rejected draft, which makes its file no post.
REJECTED = ".rejected"


class NotDecided(Exception):
    """Raised for a draft that cannot be approved or rejected; the message says why, and what to do."""


@dataclass(frozen=True)
class Waiting:
    """One draft that waits: its name, its file, and what a person should know; `why` says why it cannot be used."""

    draft: str
    file: str
    state: Literal["waiting", "broken"]
    title: str = ""
    made_by: str | None = None
    since: str | None = None
    sources: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Decided:
    """The decision about a draft, and where its file is now."""

    draft: str
    state: Literal["approved", "rejected"]
    file: str
    is_new: bool  #: whether this decided it; False if it had been decided before


def waiting() -> list[Waiting]:
    """Return every draft that waits for a person, the oldest first, and then those that cannot be used."""
    scan, home = drafts.waiting(), drafts.folder()
    usable = [
        Waiting(each.id, str(home / scan.files[each.id]), "waiting", each.title, each.made_by, each.publish_at.isoformat(), each.sources)
        for each in scan.posts
    ]  # fmt: skip
    broken = [
        Waiting(Path(name).stem, str(home / name), "broken", why=why)
        for name, why in (scan.broken | scan.skipped).items()
    ]
    return usable + broken


def approve(name: str) -> Decided:
    """Make a draft a post: move its file to CONTENT_DIR, where the publisher finds it at its next tick.

    Args:
        name: The draft's name, or the beginning of it that only one draft has.

    Raises:
        NotDecided: the draft does not exist or cannot be used, or a post has its name.

    """
    home = settings.current().content_dir
    found = _find(name, home, "approved")
    if isinstance(found, Decided):
        return found
    file = Path(found.file)
    target = home / file.relative_to(drafts.folder())
    if found.why:
        raise NotDecided(f"{found.draft} cannot be published: {found.why}")
    if target.exists() or _is_post(found.draft):
        raise NotDecided(f"there is a post {found.draft} in {home} already; give the draft another id, or reject it")
    target.parent.mkdir(parents=True, exist_ok=True)
    file.rename(target)
    sync_folder(target.parent)
    return Decided(found.draft, "approved", str(target), is_new=True)


def reject(name: str, by: str, why: str) -> Decided:
    """Take a draft away from those that wait; its items are not drafted again.

    Args:
        name: The draft's name, or the beginning of it that only one draft has.
        by: Who rejects it.
        why: The reason, which its file keeps.

    Raises:
        NotDecided: the draft does not exist.

    """
    found = _find(name, drafts.folder(), "rejected")
    if isinstance(found, Decided):
        return found
    file = Path(found.file)
    target, now = drafts.folder() / f"{found.draft}.md{REJECTED}", datetime.now(UTC).isoformat(timespec="seconds")
    remark = f"# rejected at {now} by {' '.join(by.split())}: {' '.join(why.split())}\n"
    lines = file.read_bytes().splitlines(keepends=True)
    write_atomic(target, b"".join([*lines[:1], remark.encode(), *lines[1:]]))
    file.unlink()
    return Decided(found.draft, "rejected", str(target), is_new=True)


def _find(name: str, home: Path, state: Literal["approved", "rejected"]) -> Waiting | Decided:
    """Return the draft of this name, or the same decision if it was made before; raises NotDecided."""
    name = Path(name).stem if name.endswith(".md") else name  # `draft list` shows files, which people paste
    known = {each.draft: each for each in waiting()}
    near = [each for each in known if name and each.startswith(name)]
    if name in known or len(near) == 1:
        return known.get(name) or known[near[0]]
    if near:
        raise NotDecided(f"{name!r} begins the names of several drafts: {', '.join(near)}; write more of it")
    rejected = drafts.folder() / f"{name}.md{REJECTED}"
    if re.fullmatch(post.ID, name) and rejected.exists():
        if state == "rejected":
            return Decided(name, state, str(rejected), is_new=False)
        raise NotDecided(f"{name} was rejected; to publish it all the same: mv {rejected} {home / name}.md")
    if _is_post(name):
        if state == "approved":
            return Decided(name, state, str(home / f"{name}.md"), is_new=False)
        raise NotDecided(
            f"{name} is a post already; to take it back, remove its file in {settings.current().content_dir}"
        )
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"see: {hints.gatehouse('draft', 'list')}"
    raise NotDecided(f"no draft {name[:80]!r} waits in {drafts.folder()}; {hint}")


def _is_post(name: str) -> bool:
    try:
        content.load(name)
    except PostNotFound:
        return False
    except BrokenPost:
        pass
    return True
