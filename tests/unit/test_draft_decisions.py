"""Two persons decide about one draft on two hosts that share its folder: one of them does, and the other one is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

import settings
from tasks.writer import review
from tasks.writer.review import Changed, Decided, DraftNotDecided
from tasks.writer.rewrite import Edit

NAME = "digest-one"
TEXT = "---\nid: digest-one\ntitle: Hello\npublish_at: 2026-11-01T09:00:00Z\nmade_by: rules\n---\nSome text.\n"


def approve() -> Decided:
    return review.approve(NAME)


def approve_edited() -> Decided:
    return review.approve(NAME, edit=Edit("Hello", "Other text."))


def reject() -> Decided:
    return review.reject(NAME, "ann", "not ours")


WAYS = (approve, approve_edited, reject)


@pytest.fixture
def draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CONTENT_DIR", str(tmp_path))
    settings.current.cache_clear()
    file = tmp_path / "drafts" / f"{NAME}.md"
    file.parent.mkdir()
    file.write_text(TEXT)
    yield file
    monkeypatch.undo()
    settings.current.cache_clear()


@pytest.mark.parametrize("rival", WAYS)
@pytest.mark.parametrize("way", WAYS)
def test_the_slower_of_two_hosts_changes_nothing(
    draft: Path, monkeypatch: pytest.MonkeyPatch, way: Callable[[], Decided], rival: Callable[[], Decided]
) -> None:
    monkeypatch.setattr(review, "_deciding", nullcontext)  # each host has a lock of its own
    real: Any = review._take
    decided: list[Decided] = []

    def take(*args: Any) -> None:
        if not decided:
            monkeypatch.setattr(review, "_take", real)
            decided.append(rival())
        real(*args)

    monkeypatch.setattr(review, "_take", take)

    with pytest.raises(Changed, match="somebody else"):
        way()

    [first] = decided
    assert first.is_new
    post, rejected = draft.parents[1] / draft.name, draft.with_name(f"{draft.name}.rejected")
    assert (post.exists(), rejected.exists()) == ((True, False) if first.state == "approved" else (False, True))
    assert not draft.exists()
    text = Path(first.file).read_text()
    assert ("Other text." in text, "not ours" in text) == (rival is approve_edited, rival is reject)


def test_an_approval_that_was_interrupted_behind_its_edit_says_where_the_text_is(draft: Path) -> None:
    draft.rename(draft.with_name(f"{draft.name}.original"))

    with pytest.raises(DraftNotDecided, match=f"mv .*{NAME}.md.original .*{NAME}.md"):
        review.approve(NAME)
