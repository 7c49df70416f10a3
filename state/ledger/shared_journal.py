"""The database of the journal, for a person: whether it keeps what it confirms, and how files are moved into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import settings
from server_urls import postgres_url
from state.errors import JournalUnavailable

if TYPE_CHECKING:
    from state.journal.shared.archive import ArchivedMonth
    from state.journal.shared.imports import ImportedFile
    from state.journal.shared.shared_journal import SharedJournal


class NoDatabase(Exception):
    """Raised when a command needs JOURNAL_URL, which is not set."""


class NotMoved(Exception):
    """Raised when files cannot be moved into the database; nothing was changed."""


@dataclass(frozen=True)
class DatabaseHealth:
    """The health of the database: in words, and what to change."""

    address: str
    in_words: str
    problems: list[tuple[str, str]]  #: each with what to change
    last_loss: str  #: what it lost within a week and has again; "" for nothing


def health() -> DatabaseHealth | None:
    """Return how safe a record is in the database of JOURNAL_URL; None without one. Raises JournalUnavailable."""
    url = settings.current().journal_url
    if not url:
        return None
    from state.journal.shared.server import Server  # noqa: PLC0415 - an extra that most installations lack

    database = _book().database
    server, last_loss = database.run(Server.ask), database.run(Server.last_loss)
    problems = server.problems()
    if not postgres_url.is_verified(url):
        problems.append(("nobody checks that it is the right server", "add ?sslmode=verify-full to JOURNAL_URL"))
    return DatabaseHealth(postgres_url.address(url), server.in_words, problems, last_loss)


def import_files(*, skip_damaged: bool = False) -> list[ImportedFile]:
    """Move the records of this machine's files into the database; see `imports.import_files`.

    Raises:
        NoDatabase: JOURNAL_URL is not set.
        NotMoved: A file cannot be moved; nothing was changed.
        JournalUnavailable: The database is away.

    """
    chosen, book = settings.current(), _book()
    from state.journal.shared import imports  # noqa: PLC0415 - an extra that most installations lack

    try:
        return imports.import_files(book.database, book.copy, chosen.journal_dir, book.host, skip_damaged=skip_damaged)
    except imports.NotImported as error:
        raise NotMoved(str(error)) from None
    except JournalUnavailable:
        raise
    except OSError as error:
        raise NotMoved(f"{error.filename} cannot be read: {error.strerror}") from None


def archive(month: str) -> ArchivedMonth:
    """Move one month of the table into a file on this host; see `archive.archive`.

    Raises:
        NoDatabase: JOURNAL_URL is not set.
        NotMoved: The month is not over, is not there, or the file cannot be written; the table is as it was.
        JournalUnavailable: The database is away.

    """
    chosen, book = settings.current(), _book()
    from state.journal.shared import archive as archives  # noqa: PLC0415 - an extra that most installations lack

    try:
        return archives.archive(book.database, book.copy, chosen.journal_dir, book.host, month)
    except archives.NotArchived as error:
        raise NotMoved(str(error)) from None
    except JournalUnavailable:
        raise
    except OSError as error:
        raise NotMoved(f"{error.filename} cannot be written: {error.strerror}") from None


def _book() -> SharedJournal:
    chosen = settings.current()
    if not chosen.journal_url:
        raise NoDatabase("JOURNAL_URL is not set; set it to the database that the journal moves into")
    from state.journal.shared import shared_journal  # noqa: PLC0415 - an extra that most installations lack

    return shared_journal.of(chosen.journal_dir, chosen.journal_url)


def place() -> str:
    """Return where the journal is, for messages."""
    chosen = settings.current()
    return postgres_url.address(chosen.journal_url) if chosen.journal_url else str(chosen.journal_dir)
