"""The drafts that wait for a person, and the decisions that are finished before they are listed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog

from tasks.writer import drafts, handover

log = structlog.get_logger("gatehouse.drafts")


@dataclass(frozen=True)
class WaitingDraft:
    """One draft that waits: its name, its file, and what a person should know; `why` says why it cannot be used."""

    draft: str
    file: str
    state: Literal["waiting", "broken"]
    title: str = ""
    made_by: str | None = None
    since: str | None = None
    sources: tuple[str, ...] = ()
    why: str = ""
    version: str = ""  #: 16 hexadecimal digits of its text: what a decision names as seen


def waiting() -> list[WaitingDraft]:
    """Return every draft that waits for a person, the oldest first, and then those that cannot be used.

    A decision whose process died in the middle of it is finished first.
    """
    stuck = [*_finish_decisions()]
    scan, home = drafts.waiting(), drafts.folder()
    usable = [
        WaitingDraft(each.id, str(home / scan.files[each.id]), "waiting", each.title, each.made_by, each.publish_at.isoformat(), each.sources,
                version=_version(home / scan.files[each.id]))
        for each in scan.posts
    ]  # fmt: skip
    broken = [
        WaitingDraft(Path(name).stem, str(home / name), "broken", why=why, version=_version(home / name))
        for name, why in (scan.broken | scan.skipped).items()
    ]
    return usable + broken + stuck


def _finish_decisions() -> Iterator[WaitingDraft]:
    """Finish what was decided by a process that died, and yield what cannot be finished."""
    for decision in handover.unfinished():
        try:
            decision.finish()
        except OSError as error:
            why = f"{decision.way} it was interrupted, and cannot be finished: {error.strerror}: {error.filename}"
            yield WaitingDraft(decision.base.stem, str(decision.taken), "broken", why=why)
        else:
            log.warning("draft decision finished", draft=decision.base.stem, file=str(decision.target))


def _version(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    except OSError:  # it was decided in this moment
        return ""
