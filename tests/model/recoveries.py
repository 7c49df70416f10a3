"""`gate recover`, one step at a time."""

from __future__ import annotations

import threading
from pathlib import Path

from redis import Redis

from state.journal.journal import Journal
from state.recovery import recover as recovering
from state.recovery.rebuild import Progress
from tests.model.processes import PATIENCE, Stops, stopping, thread


class Recoveries:
    """The part of a stage that rebuilds the ledger."""

    redis: Redis
    folder: Path
    _recovery: tuple[Stops, threading.Thread, list[str]] | None = None

    def can_keep(self) -> bool:
        """Whether nobody else compares or rebuilds: the journal's own lock lets only one in."""
        return self._recovery is None

    def begin_recovery(self) -> None:
        stops, said = Stops(), [""]
        journal = Journal(self.folder)

        def run() -> None:
            try:
                with stopping(stops):
                    recovering.recover(self.redis, journal, lambda _task, _kwargs: [], Progress())
            except recovering.Unrecoverable as error:
                said[0] = str(error)

        process = thread(run)
        self._recovery = stops, process, said
        stops.wait(process)

    def go_on_with_recovery(self) -> str | None:
        """To the next stop, or to the end; answers why it gave up, "" once it is through, None if it is not yet."""
        assert self._recovery
        stops, thread, said = self._recovery
        stops.go_on(thread)
        if thread.is_alive():
            return None
        self._recovery = None
        return said[0]

    def finish_recovery(self) -> str:
        """To its end; answers why it gave up, or ""."""
        said = None
        while said is None:
            said = self.go_on_with_recovery()
        return said

    def kill_recovery(self) -> None:
        assert self._recovery
        stops, thread, _ = self._recovery
        stops.go_on(thread, dies=True)
        thread.join(PATIENCE)
        self._recovery = None
