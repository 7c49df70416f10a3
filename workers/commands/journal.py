"""`gate journal`: moves the journal of this machine into a database, and says for `gate doctor` how that database is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict

import click

from state.errors import JournalUnavailable
from state.ledger import shared_journal
from state.ledger.shared_journal import NoDatabase, NotMoved
from workers.commands.output import Failed, Misused, command, show
from workers.commands.vitals import Finding


def findings() -> Iterator[Finding]:
    """Check that the database of the journal keeps what it confirms; without one there is nothing to check."""
    try:
        database = shared_journal.health()
    except JournalUnavailable as error:
        yield Finding(
            "journal database", str(error.strerror or error), "what is said there; nothing is sent until then"
        )
        return
    if database:
        for found, change in database.problems:
            yield Finding("journal database", found, change)
        if not database.problems:
            yield Finding("journal database", f"{database.address} answers; {database.in_words}")
        if database.last_loss:
            yield Finding("journal database", database.last_loss)


#: A month as its files are named.
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")

journal = click.Group("journal", help="Move the journal into a database, or old months out of it.")


@command("import", "journal import", "journal import --json")
@click.option("--skip-damaged", is_flag=True, help="Leave out lines that cannot be read.")
def import_(*, skip_damaged: bool, json_: bool) -> None:
    """Move this machine's records into the database, each once.

    Then the two are compared. The files stay. It can be repeated: what an earlier run moved is known.
    """
    try:
        files = shared_journal.import_files(skip_damaged=skip_damaged)
    except (NoDatabase, NotMoved) as error:
        raise Failed(str(error)) from None
    lines = [
        f"{each.file}: {each.records} records moved, {each.known} known{f', sha256 {each.sha256}' if each.sha256 else ''}"
        for each in files
    ]
    skipped = [f"  left out: {line}" for each in files for line in each.skipped]
    rows = [asdict(each) for each in files]
    show(json_, rows, "\n".join([*lines, *skipped]) or "this machine has no files of a journal")


@command("archive", "journal archive 2026-01")
@click.argument("month", metavar="MONTH")
def archive(month: str, *, json_: bool) -> None:
    """Move MONTH, such as 2026-01, into a file on this host.

    The partition is detached and left standing. A rebuild on this host reads the file.
    """
    if not _MONTH.fullmatch(month):
        raise Misused(f"{month!r} is not a month such as 2026-01")
    try:
        found = shared_journal.archive(month)
    except (NoDatabase, NotMoved) as error:
        raise Failed(str(error)) from None
    text = f"{found.records} records of {month} are in {found.file} (sha256 {found.sha256}); you may drop {found.table}"
    show(json_, asdict(found), text)


journal.add_command(import_)
journal.add_command(archive)
commands = (journal,)
