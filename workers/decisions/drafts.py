"""Decisions about drafts: make one a post, or take it away."""

from __future__ import annotations

from collections.abc import Callable

from state.ledger import Ledger
from tasks.writer import review
from tasks.writer.review import Decided
from tasks.writer.rewrite import Edit
from workers.decisions.by import By, NotDecided

#: The agent to which decisions about drafts belong.
WRITER = "writer"


def draft_approve(name: str, by: By, *, seen: str = "", edit: Edit | None = None) -> Decided:
    """Make a draft a post.

    Args:
        name: The draft.
        by: Who decides.
        seen: The version of it that the person read; "" is not compared.
        edit: What the person made of it.

    Raises:
        NotDecided: It is not any more what the person read, or it cannot be published.

    """
    what = "draft approve as edited" if edit else "draft approve"
    return _of_draft(what, by, lambda: review.approve(name, seen=seen, edit=edit))


def draft_reject(name: str, by: By, *, seen: str = "") -> Decided:
    """Take a draft away. Arguments and errors are those of `draft_approve`."""
    return _of_draft("draft reject", by, lambda: review.reject(name, by.name, by.why, seen=seen))


def _of_draft(what: str, by: By, decide: Callable[[], Decided]) -> Decided:
    try:
        decided = decide()
    except review.DraftNotDecided as error:
        raise NotDecided(str(error)) from None
    except OSError as error:
        raise NotDecided(f"the draft cannot be moved: {error.strerror}: {error.filename}") from None
    if decided.is_new:
        Ledger().note(WRITER, by.said(what, decided.draft), "waiting", decided.state)
    return decided
