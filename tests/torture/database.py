"""The database of a shared journal, as the scenarios about it hold it: a server of their own, behind a proxy."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from tests.harness import ServerMissing, until
from tests.harness.postgres import Postgres, binaries
from tests.torture.arena import Arena
from tests.torture.proxied import Proxied
from tests.torture.tmpfs import Disk


def missing() -> str | None:
    """Why no server can be started here; None if one can, or must, as in CI."""
    try:
        binaries()
    except ServerMissing as error:
        return None if os.environ.get("CI") else str(error)
    return None


class Database:
    """`server` is the primary, which everybody reaches through `way`."""

    def __init__(self, arena: Arena, server: Postgres, disk: Disk | None) -> None:
        self._arena, self.server, self.disk = arena, server, disk
        folder, target = arena.house.folder, f"127.0.0.1:{server.port}"
        self.way: Proxied = arena.proxy("to-database", target, folder, arena.seed)
        arena.house.env["JOURNAL_URL"] = server.url.replace(str(server.port), str(self.way.port))
        arena.producer.begin_again(REDIS_URL=arena.valkey.url)

    @classmethod
    def of(cls, arena: Arena, kilobytes: int = 0, **options: str) -> Database:
        """Put the journal of an arena into a server; nobody may have begun yet.

        Args:
            arena: The arena, which ends the server.
            kilobytes: The size of the server's disk; 0 for that of the machine.
            options: Settings of the server.

        """
        disk = None
        folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        if kilobytes:
            disk = Disk(folder, kilobytes)
            arena.keep(disk.close)
        server = Postgres(folder, options=options)
        arena.keep(server.close)
        return cls(arena, server.start(), disk)

    def standby(self, *, is_synchronous: bool, port: int = 0) -> Postgres:
        """Start a standby, which reaches the primary at this port or at its own."""
        name = f"b{self.server.port}"
        standby = self.server.standby(name, port)
        self._arena.keep(standby.close)
        if is_synchronous:
            self.server.set("synchronous_standby_names", f"ANY 1 ({name})")
            until(self._has_synchronous, 20, "the standby to be synchronous")
        return standby

    def wait_until_it_follows(self, standby: Postgres) -> None:
        """Wait until a standby has all that was written so far."""
        reached = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
        [[now]] = self.server.sql("SELECT pg_current_wal_lsn()::text")
        until(lambda: standby.sql(reached % f"'{now}'") == [(True,)], 20, "the standby to follow")

    def promote(self, standby: Postgres) -> None:
        """The standby is the primary now: everybody is led there."""
        if self.server.alive:
            self.server.kill9()
        standby.promote()
        standby.set("synchronous_standby_names", "")
        self.server = standby
        self.way.retarget(f"127.0.0.1:{standby.port}")

    def remove_copy(self) -> None:
        """Remove the copy of the table that this host keeps."""
        for copy in (self._arena.house.state_dir / "journal").glob("shared-*"):
            shutil.rmtree(copy, ignore_errors=True)

    def cancel_waits(self) -> bool:
        """Cancel each wait for a standby; return whether there was one."""
        query = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        return bool(self.server.sql(query)[0][0])

    def _has_synchronous(self) -> bool:
        return self.server.sql("SELECT sync_state FROM pg_stat_replication") == [("quorum",)]
