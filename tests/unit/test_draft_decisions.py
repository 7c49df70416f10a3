"""One decision about a draft: of two persons on two hosts one decides, and a process that dies leaves no half of it."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

import settings
from tasks.writer import draft_list, handover, review
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
    real: Any = Path.rename
    decided: list[Decided] = []

    def rename(self: Path, target: Path) -> Path:
        if self == draft and not decided:
            monkeypatch.setattr(Path, "rename", real)
            decided.append(rival())
        return Path(real(self, target))

    monkeypatch.setattr(Path, "rename", rename)

    with pytest.raises(Changed, match="somebody else"):
        way()

    [first] = decided
    assert first.is_new
    post, rejected = draft.parents[1] / draft.name, draft.with_name(f"{draft.name}.rejected")
    assert (post.exists(), rejected.exists()) == ((True, False) if first.state == "approved" else (False, True))
    assert not draft.exists()
    assert not list(draft.parent.glob("*.staged"))
    text = Path(first.file).read_text()
    assert ("Other text." in text, "not ours" in text) == (rival is approve_edited, rival is reject)


class Died(BaseException):
    """Raised in the place of an operation on a file, and of all that follow: the process is gone."""


class Reaper:
    """Ends the process, as far as the code can see it, before its operation on files of this number."""

    folder, left = "", -1

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        is_operation = event in {"open", "os.rename", "os.remove", "os.mkdir"}
        if self.folder and is_operation and str(args[0]).startswith(self.folder):
            self.left -= 1
            if self.left < 0:
                raise Died

    @contextmanager
    def after(self, operations: int, folder: Path) -> Iterator[None]:
        self.folder, self.left = str(folder), operations
        try:
            yield
        finally:
            self.folder = ""


reaper = Reaper()
sys.addaudithook(reaper)


def files(draft: Path) -> dict[str, str]:
    """Every file with its text, but for the moment of a decision, and what an unfinished write left behind."""
    found = {path.name: path.read_text() for path in draft.parents[1].rglob("*") if path.is_file()}
    return {
        name: re.sub("rejected at .* by", "rejected by", text)
        for name, text in found.items()
        if not name.startswith(".")
    }


def begin_anew(draft: Path) -> None:
    for path in draft.parents[1].iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    draft.parent.mkdir()
    draft.write_text(TEXT)


@pytest.mark.parametrize("way", WAYS)
def test_a_process_that_dies_at_any_operation_leaves_a_draft_that_waits_or_is_decided(
    draft: Path, way: Callable[[], Decided]
) -> None:
    way()
    decided, numbers, has_died = files(draft), 0, True
    while has_died:
        begin_anew(draft)
        has_died = False
        try:
            with reaper.after(numbers, draft.parents[1]):
                way()
        except Died:
            has_died = True
        waits = {each.draft: each.state for each in draft_list.waiting()}
        if waits:
            assert waits == {NAME: "waiting"}, f"after {numbers} operations"
            assert draft.read_text() == TEXT
            assert way().is_new
        assert files(draft) == decided, f"after {numbers} operations"
        assert not way().is_new
        numbers += 1

    assert numbers > 3


def test_a_decision_that_cannot_be_finished_is_shown_until_it_can(draft: Path) -> None:
    handover.begin(draft, draft, "approving", b"---\nid: digest-one\n---\nOther text.\n")
    post = draft.parents[1] / draft.name
    post.write_text("somebody's own")

    [shown] = draft_list.waiting()

    assert (shown.draft, shown.state) == (NAME, "broken")
    assert (
        f"approving it was interrupted, and cannot be finished: a post has its name; move that away: {post}"
        in shown.why
    )
    post.unlink()
    assert draft_list.waiting() == []
    assert "Other text." in post.read_text()


def test_an_approval_that_an_earlier_version_interrupted_behind_its_edit_says_where_the_text_is(draft: Path) -> None:
    draft.rename(draft.with_name(f"{draft.name}.original"))

    with pytest.raises(DraftNotDecided, match=f"mv .*{NAME}.md.original .*{NAME}.md"):
        review.approve(NAME)
