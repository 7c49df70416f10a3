"""The mailed form of the newest reports, each in a file, so that a letter that has to wait is still that of its day."""

from __future__ import annotations

import re
from pathlib import Path

import settings
from state import private
from state.files import write_atomic

#: Days; a letter waits for two at most, and a person may send it again a while later.
KEPT = 60

_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def put(day: str, message: str) -> None:
    """Store a day's message, which replaces an earlier one, and delete those of old days."""
    folder = private.folder(_folder())
    write_atomic(folder / f"{day}.eml", message.encode("ascii"))
    for old in sorted(folder.glob("*.eml"))[:-KEPT]:
        old.unlink(missing_ok=True)


def get(day: str) -> str | None:
    """Return a day's message; None if there is none."""
    if not _DAY.fullmatch(day):
        return None
    try:
        return (_folder() / f"{day}.eml").read_bytes().decode("ascii")
    except FileNotFoundError:
        return None


def _folder() -> Path:
    return settings.current().state_dir / "mail"
