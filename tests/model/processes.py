"""Processes that can be stopped and killed in the middle of what they do, though they are threads of this one."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from state.errors import JournalUnavailable
from state.journal.heads import JournalHead
from state.journal.journal import Journal
from state.ledger import owner
from state.recovery import recover as recovering
from state.recovery.rebuild import Progress

#: Seconds after which a thread that should have come to its stop is given up.
PATIENCE = 60.0


class Killed(BaseException):
    """Ends a thread where it stopped, as SIGKILL would."""


class Stops:
    """Places where a thread waits until it is told to go on to the next one, or to die."""

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._running, self._dies = True, False

    def here(self) -> None:
        """Called by the thread."""
        with self._turn:
            self._running = False
            self._turn.notify_all()
            assert self._turn.wait_for(lambda: self._running, PATIENCE), "nobody let this thread go on"
        if self._dies:
            raise Killed

    def go_on(self, thread: threading.Thread, *, dies: bool = False) -> None:
        """Called by the others: let the thread run to its next stop, or to its end."""
        with self._turn:
            self._running, self._dies = True, dies
            self._turn.notify_all()
        self.wait(thread)

    def wait(self, thread: threading.Thread) -> None:
        with self._turn:
            while self._running and thread.is_alive():
                self._turn.wait(0.001)


class FailingJournal(Journal):
    """A journal that does not confirm an intent, whether it is written or not, as a database that is away."""

    def __init__(self, folder: Path, *, writes: bool) -> None:
        super().__init__(folder)
        self._writes = writes

    def append(self, name: str, fields: Mapping[str, Any], *, sync: bool) -> None:
        if self._writes:
            super().append(name, fields, sync=sync)
        raise JournalUnavailable(errno.EIO, "no answer")


class StoppingJournal(Journal):
    """A journal that stops its process right after an intent is on the disk, and may be away from then on."""

    is_away = False

    def __init__(self, folder: Path, stops: Stops) -> None:
        super().__init__(folder)
        self._stops = stops

    def known(self, agent: str) -> JournalHead | None:
        if self.is_away:
            raise JournalUnavailable(errno.EIO, "no answer")
        return super().known(agent)

    def append(self, name: str, fields: Mapping[str, Any], *, sync: bool) -> None:
        super().append(name, fields, sync=sync)
        if name == "intent":
            self._stops.here()


@contextmanager
def stopping(stops: Stops) -> Iterator[None]:
    """A recovery stops when it has closed effects, when it has read the journal, and when it has written the keys."""
    fold, rebuilding = recovering.project, recovering.Rebuilding  # type: ignore[attr-defined]

    def stopping_fold(*args: Any) -> Any:
        stops.here()
        whole = fold(*args)
        stops.here()
        return whole

    class StoppingRebuilding(rebuilding):  # type: ignore[misc, valid-type]
        def run(self, progress: Progress) -> None:
            super().run(progress)
            stops.here()

    with patch.multiple(recovering, project=stopping_fold, Rebuilding=StoppingRebuilding):
        yield


class Process:
    """What holds a lock file until it is dead."""

    def __init__(self, name: str) -> None:
        self.owner = f"{name}/1"
        owner.folder().mkdir(parents=True, exist_ok=True)
        self._fd = os.open(owner.folder() / f"{name}.lock", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        os.pwrite(self._fd, owner.LEAVING, 0)  # a worker that is lost here is nobody's fault: no call becomes poison

    @property
    def lives(self) -> bool:
        return self._fd >= 0

    def die(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


def thread(run: Callable[[], None]) -> threading.Thread:
    def until_killed() -> None:
        try:
            run()
        except Killed:
            return

    thread = threading.Thread(target=until_killed, daemon=True)
    thread.start()
    return thread
