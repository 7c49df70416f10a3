"""The defences of several hosts: of the journal that they share, and against a primary that some of them still write to."""

from __future__ import annotations

from tests.torture.tooth import Change, Tooth

OF_HOSTS = (
    Tooth(
        "no commit on the disk",
        "a record in the database does not wait for the disk",
        (Change("state/journal/shared/shared_journal.py", "is_synced=sync, is_alone", "is_synced=False, is_alone"),),
        ("only_the_database_is_left",),
    ),
    Tooth(
        "a cancelled wait counts",
        "a record counts as written when the database says OK and warns that its standby lacks it",
        (
            Change(
                "state/journal/shared/rows.py",
                "is_synced, is_alone))\n    if connection.warning:",
                "is_synced, is_alone))\n    if False:",
            ),
        ),
        ("waits_cancelled",),
    ),
    Tooth(
        "no incarnation",
        "the copy of a host is taken for that of the database, whatever became of the database",
        (
            Change(
                "state/journal/shared/host_copy.py",
                "if found.incarnation != state.incarnation or not found.incarnation or found.next < state.next:",
                "if False:",
            ),
        ),
        ("lagging_standby_promoted", "database_fell_back"),
    ),
    Tooth(
        "nothing put back",
        "what a database lost that a host has in its copy stays lost",
        (Change("state/journal/shared/host_copy.py", "if before and put_back(", "if False and put_back("),),
        ("lagging_standby_promoted",),
    ),
    Tooth(
        "no look at the journal after the intent",
        "an attempt begins its effect on a primary that others have left, though the journal has another epoch",
        (
            Change(
                "state/ledger/attempt.py",
                "if here is None or here.incomplete or here.epoch != claim.epoch:",
                "if False:",
            ),
        ),
        ("primary_still_written",),
    ),
)
