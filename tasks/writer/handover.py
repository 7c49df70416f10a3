"""The way of a draft to where a decision puts it, with another text: whole, also if a process dies on the way.

1. The text that it is to have is written beside it: FILE.MARK.staged.
2. Its file becomes FILE.MARK.approving or FILE.MARK.rejecting. This rename succeeds once, and decides.
3. The staged text gets its name. The draft as it was is kept after an approval, and removed after a rejection.

A process that dies before step 2 leaves a draft that waits. What began with step 2, any other process finishes.
"""

from __future__ import annotations

import errno
import glob
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import settings
from state.files import sync_folder, write_atomic
from tasks.writer import drafts

#: The suffix of a rejected draft, which makes its file no post.
REJECTED = ".rejected"
#: The suffix of the text of a draft before a person edited it.
ORIGINAL = ".original"
#: The suffix of a text that has not got its name yet.
STAGED = ".staged"

Way = Literal["approving", "rejecting"]
_TAKEN = re.compile(r"(?P<base>.+)\.(?P<mark>[0-9a-f]{8})\.(?P<way>approving|rejecting)")


class NameTaken(FileExistsError):
    """Raised when a post has the name that an approved draft is to have."""


@dataclass(frozen=True)
class Handover:
    """A decision under way: the file of the draft, where it waits, is called `base`."""

    base: Path
    mark: str
    way: Way

    @property
    def taken(self) -> Path:
        """The draft as it was, once it was decided about."""
        return self._named(f".{self.mark}.{self.way}")

    @property
    def staged(self) -> Path:
        """The text that it is to have."""
        return self._named(f".{self.mark}{STAGED}")

    @property
    def target(self) -> Path:
        """The file that the text becomes."""
        if self.way == "rejecting":
            return self._named(REJECTED)
        return settings.current().content_dir / self.base.relative_to(drafts.folder())

    def finish(self) -> None:
        """Take step 3; it may be repeated, also by another process. Raises NameTaken or OSError."""
        # Another process may finish in between: then the target is what was staged, and the second look finds nothing staged.
        if self.way == "approving" and self.staged.exists() and self.target.exists() and self.staged.exists():
            raise NameTaken(errno.EEXIST, "a post has its name; move that away", str(self.target))
        self.target.parent.mkdir(parents=True, exist_ok=True)
        _rename(self.staged, self.target)
        if self.way == "approving":
            _rename(self.taken, self._named(ORIGINAL))
        elif self.target.exists():
            self.taken.unlink(missing_ok=True)
        else:
            _rename(self.taken, self.target)

    def _named(self, suffix: str) -> Path:
        return self.base.with_name(f"{self.base.name}{suffix}")


def begin(file: Path, base: Path, way: Way, text: bytes) -> Handover:
    """Decide about a draft: take steps 1 and 2.

    Args:
        file: The draft's file.
        base: The name that the other files get a suffix to.
        way: The decision.
        text: The text that it is to have.

    Raises:
        FileNotFoundError: Somebody else decided about it in this moment; nothing was changed.
        OSError: A file cannot be written; nothing was changed.

    """
    made = Handover(base, secrets.token_hex(4), way)
    write_atomic(made.staged, text)
    try:
        file.rename(made.taken)
    except OSError:
        made.staged.unlink(missing_ok=True)
        raise
    sync_folder(base.parent)
    forget_staged(base, besides=made.staged)
    return made


def forget_staged(base: Path, *, besides: Path | None = None) -> None:
    """Remove the texts that were staged for a draft by processes that did not decide about it."""
    for path in base.parent.glob(f"{glob.escape(base.name)}.*{STAGED}"):
        if path != besides:
            path.unlink(missing_ok=True)


def unfinished() -> Iterator[Handover]:
    """Yield every decision that was not finished, those that are under way in this moment included."""
    for path in sorted(drafts.folder().rglob("*.*ing")):
        if match := _TAKEN.fullmatch(path.name):
            way: Way = "approving" if match["way"] == "approving" else "rejecting"
            yield Handover(path.with_name(match["base"]), match["mark"], way)


def _rename(path: Path, target: Path) -> None:
    """Rename a file, if no other process did so."""
    with suppress(FileNotFoundError):
        path.rename(target)
        sync_folder(target.parent)
