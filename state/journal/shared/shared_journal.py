"""The journal of several hosts: each record is a row of a table in PostgreSQL, and is read from this host's copy."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from server_urls import postgres_url
from state.errors import JournalUnavailable
from state.host import this_host
from state.journal import compressed, records
from state.journal.heads import HeadReader, JournalHead
from state.journal.journal import Journal, readable
from state.journal.shared import rows, schema
from state.journal.shared.archive import archived_files
from state.journal.shared.database import Database
from state.journal.shared.host_copy import HostCopy
from state.journal.shared.imports import check_imported


class SharedJournal(Journal):
    """The journal in one database, as one process uses it; safe to use from many threads.

    Args:
        folder: The folder of the journal's files: this host's own, from before it shared a journal, and its copy.
        url: The URL of the database.
        host: The name of this host, for people.

    """

    def __init__(self, folder: Path, url: str, host: str = "") -> None:
        super().__init__(folder)
        self.database = Database(url)
        self.host = host or socket.gethostname()
        self.copy = HostCopy(folder / f"shared-{postgres_url.short_name(url)}", self.database, self.host)
        self._own, self._is_checked = folder, False

    def append(self, event: str, fields: Mapping[str, Any], *, sync: bool) -> None:
        """Write one record, in one round trip; see `Journal.append`.

        Raises:
            JournalUnavailable: The record was not written, or the database did not confirm it: it may be there then.

        """
        try:
            self._check_imported()
            record = self.host, fields.get("agent", ""), event, records.encode(event, fields)[:-1].decode()
            self.database.run(rows.append, record, is_synced=sync, is_alone=event == "epoch")
        except JournalUnavailable:
            self._failed = True
            raise
        self._failed = False

    def known(self, agent: str) -> JournalHead | None:
        """Return the epoch and the highest fence that any process of any host wrote for this agent; see `Journal.known`."""
        with readable(self.folder):
            return self._up_to_date().head(agent)

    def agents(self) -> list[str]:
        """Return every agent that ever had an effect on any host. Raises as `known` does."""
        with readable(self.folder):
            return sorted(self._up_to_date().heads())

    def files(self) -> list[Path]:
        """Return the files of the copy and those of archived months, oldest first. Raises JournalUnavailable."""
        with readable(self.folder):
            self._up_to_date()
            copied = super().files()
        return sorted([*archived_files(self._own), *copied], key=lambda path: compressed.age(path.name))

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the lock under which one process of all hosts compares or rebuilds Redis; writing goes on meanwhile.

        Raises:
            JournalUnavailable: Another process holds it for longer than PATIENCE, or the database is away.

        """
        self._check_imported()
        with self.database.lock(schema.COMPARISON):
            yield

    def _up_to_date(self) -> HeadReader:
        self._check_imported()
        heads = self.copy.update()
        self.folder = self.copy.current
        return heads

    def _check_imported(self) -> None:
        if not self._is_checked:
            check_imported(self.database, self._own)
            self._is_checked = True


@cache
def of(folder: Path, url: str) -> SharedJournal:
    """Return this process's journal in a database."""
    name = ""
    with suppress(OSError):  # its file cannot be written: the name of the machine does
        name = this_host()
    return SharedJournal(folder, url, name)


#: A forked child would share its parent's connections, so it opens its own.
os.register_at_fork(after_in_child=of.cache_clear)
