"""A person's decision about a draft: approved, it is a post; rejected, it is kept beside the drafts with the reason.

The rename of the draft's file decides, and succeeds once: of two persons, also on two hosts that share the folder, one
decides, and the other is told. The lock only lets two on one host wait for each other. If the process of a decision dies,
the next process that lists or decides finishes it; see `handover` and `draft_list`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

import settings
from clients import content
from clients.content import BrokenPost, PostNotFound, post
from state import hints, private
from state.files import open_locked, sync_folder
from tasks.writer import draft_list, drafts, handover, rewrite
from tasks.writer.draft_list import WaitingDraft
from tasks.writer.rewrite import Edit

#: Seconds that a decision waits for another one.
_LOCK_SECONDS = 5.0


class DraftNotDecided(Exception):
    """Raised for a draft that cannot be approved or rejected; the message says why, and what to do."""


class Changed(DraftNotDecided):
    """Raised if a draft is not any more what the person saw; nothing is changed."""


@dataclass(frozen=True)
class Decided:
    """The decision about a draft, and where its file is now."""

    draft: str
    state: Literal["approved", "rejected"]
    file: str
    is_new: bool  #: whether this decided it; False if it had been decided before


def approve(name: str, *, seen: str = "", edit: Edit | None = None) -> Decided:
    """Make a draft a post: move its file to CONTENT_DIR, where the publisher finds it at its next tick.

    Args:
        name: The draft's name, or the beginning of it that only one draft has.
        seen: The version that the person read; "" is not compared.
        edit: What the person made of it; its text before is kept beside the drafts.

    Raises:
        DraftNotDecided: the draft does not exist or cannot be used, or a post has its name.
        Changed: the draft is not any more what the person read.

    """
    with _deciding():
        return _approve(name, seen, edit)


def _approve(name: str, seen: str, edit: Edit | None) -> Decided:
    home = settings.current().content_dir
    found = _find(name, home, "approved")
    _check_seen(found, name, seen)
    if isinstance(found, Decided):
        return found
    file = Path(found.file)
    target = home / file.relative_to(drafts.folder())
    if found.why:
        raise DraftNotDecided(f"{found.draft} cannot be published: {found.why}")
    if target.exists() or _is_post(found.draft):
        raise DraftNotDecided(
            f"there is a post {found.draft} in {home} already; give the draft another id, or reject it"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    if edit:
        _hand_over(found, file, "approving", _rewritten(found.draft, file, edit))
    else:
        with _first(found):
            file.rename(target)
        sync_folder(target.parent)
        handover.forget_staged(file)
    return Decided(found.draft, "approved", str(target), is_new=True)


def reject(name: str, by: str, why: str, *, seen: str = "") -> Decided:
    """Take a draft away from those that wait; its items are not drafted again.

    Args:
        name: The draft's name, or the beginning of it that only one draft has.
        by: Who rejects it.
        why: The reason, which its file keeps.
        seen: The version that the person read; "" is not compared.

    Raises:
        DraftNotDecided: the draft does not exist.
        Changed: the draft is not any more what the person read.

    """
    with _deciding():
        return _reject(name, by, why, seen)


def text_of(name: str) -> str:
    """Return the text of a draft below its front matter, for a person to edit. Raises DraftNotDecided."""
    found = _find(name, drafts.folder(), "rejected")
    if isinstance(found, Decided):
        raise DraftNotDecided(f"{name} was {found.state} already")
    try:
        return rewrite.body(Path(found.file).read_bytes())
    except (BrokenPost, OSError) as error:
        raise DraftNotDecided(f"{name} cannot be read: {error}") from None


def _reject(name: str, by: str, why: str, seen: str) -> Decided:
    found = _find(name, drafts.folder(), "rejected")
    _check_seen(found, name, seen)
    if isinstance(found, Decided):
        return found
    base, now = drafts.folder() / f"{found.draft}.md", datetime.now(UTC).isoformat(timespec="seconds")
    remark = f"# rejected at {now} by {' '.join(by.split())}: {' '.join(why.split())}\n"
    with _first(found):
        lines = Path(found.file).read_bytes().splitlines(keepends=True)
    target = _hand_over(found, base, "rejecting", b"".join([*lines[:1], remark.encode(), *lines[1:]]))
    return Decided(found.draft, "rejected", str(target), is_new=True)


def _hand_over(found: WaitingDraft, base: Path, way: handover.Way, text: bytes) -> Path:
    """Decide about a draft that gets another text, and return the file that has it now; raises Changed as `_first` does."""
    with _first(found):
        decision = handover.begin(Path(found.file), base, way, text)
    decision.finish()
    return decision.target


@contextmanager
def _first(found: WaitingDraft) -> Iterator[None]:
    """Raise Changed if the file of a draft is gone because somebody else decided about it in this moment."""
    try:
        yield
    except FileNotFoundError:
        raise Changed(f"{found.draft} was decided in this moment by somebody else, so nothing was changed") from None


def _find(name: str, home: Path, state: Literal["approved", "rejected"]) -> WaitingDraft | Decided:
    """Return the draft of this name, or the same decision if it was made before; raises DraftNotDecided."""
    name = Path(name).stem if name.endswith(".md") else name  # `draft list` shows files, which people paste
    known = {each.draft: each for each in draft_list.waiting()}
    near = [each for each in known if name and each.startswith(name)]
    if name in known or len(near) == 1:
        return known.get(name) or known[near[0]]
    if near:
        raise DraftNotDecided(f"{name!r} begins the names of several drafts: {', '.join(near)}; write more of it")
    rejected = drafts.folder() / f"{name}.md{handover.REJECTED}"
    if re.fullmatch(post.ID, name) and rejected.exists():
        if state == "rejected":
            return Decided(name, state, str(rejected), is_new=False)
        raise DraftNotDecided(f"{name} was rejected; to publish it all the same: mv {rejected} {home / name}.md")
    if _is_post(name):
        if state == "approved":
            return Decided(name, state, str(home / f"{name}.md"), is_new=False)
        raise DraftNotDecided(
            f"{name} is a post already; to take it back, remove its file in {settings.current().content_dir}"
        )
    original = drafts.folder() / f"{name}.md{handover.ORIGINAL}"
    if re.fullmatch(post.ID, name) and original.exists():
        raise DraftNotDecided(
            f"{name} neither waits nor is a post, and its text before an edit is there; to decide about that again: "
            f"mv {original} {drafts.folder() / name}.md"
        )
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"see: {hints.gatehouse('draft', 'list')}"
    raise DraftNotDecided(f"no draft {name[:80]!r} waits in {drafts.folder()}; {hint}")


@contextmanager
def _deciding() -> Iterator[None]:
    """Hold the lock of decisions, so that of two at the same time one is first; raises DraftNotDecided."""
    try:
        lock = open_locked(private.folder(settings.current().run_dir) / "drafts.lock", wait=_LOCK_SECONDS)
    except BlockingIOError:
        raise DraftNotDecided("another decision about a draft is under way; try again") from None
    try:
        yield
    finally:
        os.close(lock)


def _check_seen(found: WaitingDraft | Decided, name: str, seen: str) -> None:
    if not seen:
        return
    if isinstance(found, Decided):
        raise Changed(f"{found.draft} was {found.state} before, so nothing was changed: {found.file}")
    if found.version != seen:
        raise Changed(f"{name} was edited since you opened it, so nothing was changed; read it again")


def _rewritten(name: str, file: Path, edit: Edit) -> bytes:
    try:
        return rewrite.document(file.read_bytes(), edit)
    except BrokenPost as error:
        raise DraftNotDecided(f"{name} as you edited it cannot be published: {error}") from None


def _is_post(name: str) -> bool:
    try:
        content.load(name)
    except PostNotFound:
        return False
    except BrokenPost:
        pass
    return True
