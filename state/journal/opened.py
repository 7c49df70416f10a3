"""The journals that this process has open, one for each place."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import settings
from state.journal.journal import Journal


@cache
def of(folder: Path) -> Journal:
    """Return this process's journal in a folder."""
    return Journal(folder)


def current() -> Journal:
    """Return this process's journal: in STATE_DIR, or in the database of JOURNAL_URL."""
    chosen = settings.current()
    if not chosen.journal_url:
        return of(chosen.journal_dir)
    from state.journal.shared import shared_journal  # noqa: PLC0415 - an extra that most installations lack

    return shared_journal.of(chosen.journal_dir, chosen.journal_url)


#: A forked child would share its parent's file position, so it opens files of its own.
os.register_at_fork(after_in_child=of.cache_clear)
