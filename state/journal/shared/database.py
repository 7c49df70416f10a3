"""The database of the journal, as one process uses it: a few connections, and every failure as JournalUnavailable."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Concatenate, ParamSpec, TypeVar

import psycopg
import structlog
from psycopg import errors

from server_urls import postgres_url
from state.errors import JournalUnavailable
from state.journal.shared import schema
from state.journal.shared.connection import STATEMENT_SECONDS, Connection, TooSlow

#: Connections that one process uses at once, and that it keeps open at rest. PostgreSQL allows 100 in all by default.
MAX_CONNECTIONS, MAX_IDLE = 4, 2
#: Seconds after a failed connection in which others fail at once: calls must not queue up behind a database that is away.
PAUSE = 1.0
#: Seconds to wait while another process, on whichever host, compares Redis with the journal or rebuilds it.
PATIENCE = 30.0
#: Seconds to wait instead within PATIENCE after it was in vain. The holder may be a process that is stopped, and a sweeper
#: looks at one agent after the other.
BRIEFLY = 0.05

#: The answers of a database whose tables or functions somebody dropped.
_DROPPED = (errors.UndefinedTable, errors.UndefinedFunction)

T = TypeVar("T")
P = ParamSpec("P")

log = structlog.get_logger("gatehouse.journal")


class Database:
    """The connections of one process to the database of the journal; safe to use from many threads."""

    def __init__(self, url: str) -> None:
        self.address = postgres_url.address(url)
        self._url = url
        self._idle: list[Connection] = []
        self._guard = threading.Lock()
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._failed_at, self._failure = -PAUSE, ""
        self._held_at = -PATIENCE  #: when a lock was last waited for in vain
        self._prepared = self._was_prepared = False

    def run(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `work` does with a connection.

        It is run once more if the connection turns out to be lost, or the tables to be dropped, so it must be such that a
        repetition does no harm: every record of the journal is.

        Raises:
            JournalUnavailable: The database is away, too slow, or refuses.

        """
        with self._place():
            has_repeated = False
            while True:
                connection, is_fresh = self._take()
                try:
                    result = _with_partition(connection, work, *args, **kwargs)
                except psycopg.Error as error:
                    was_lost = connection.closed and not isinstance(error, TooSlow) and not is_fresh
                    was_dropped = isinstance(error, _DROPPED) and not has_repeated
                    if was_dropped:
                        self._prepared, has_repeated = False, True  # the next connection makes them anew
                    self._end(connection)
                    if was_lost or was_dropped:
                        continue
                    raise self._as_unavailable(error) from error
                except BaseException:
                    self._end(connection)
                    raise
                self._give_back(connection)
                return result

    @contextmanager
    def lock(self, key: int) -> Iterator[None]:
        """Hold a lock against all processes of all hosts; the server frees it when this process or its host is gone.

        Raises:
            JournalUnavailable: The database is away, or another process holds the lock for longer than PATIENCE.

        """
        connection = self._fresh()
        try:
            wait = BRIEFLY if time.monotonic() - self._held_at < PATIENCE else PATIENCE
            connection.deadline = wait + STATEMENT_SECONDS
            connection.execute(f"SET lock_timeout = '{1000 * wait:.0f}ms'; SET statement_timeout = 0", prepare=False)
            connection.execute("SELECT pg_advisory_lock(%s)", [key])
        except errors.LockNotAvailable:
            connection.close()
            self._held_at = time.monotonic()
            raise JournalUnavailable(
                errno.EWOULDBLOCK,
                f"another process compares Redis with the journal in {self.address}, or recovers, for more than "
                f"{PATIENCE:g} s, and effects are closed meanwhile: wait until it ends, or end it",
            ) from None
        except psycopg.Error as error:
            connection.close()
            raise self._as_unavailable(error) from error
        self._held_at = -PATIENCE
        try:
            yield
        finally:
            connection.close()

    def unavailable(self, why: str) -> JournalUnavailable:
        """Return the error that closes effects."""
        return JournalUnavailable(
            errno.EIO,
            f"the journal in {self.address} cannot be used ({why}); effects are closed until it can: look at the "
            "database, or correct JOURNAL_URL",
        )

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(timeout=STATEMENT_SECONDS):
            raise self.unavailable("each connection of this process waits for an answer")
        try:
            yield
        finally:
            self._places.release()

    def _take(self) -> tuple[Connection, bool]:
        """Return a connection, and whether it was made just now."""
        with self._guard:
            if self._idle and self._prepared:
                return self._idle.pop(), False
        return self._fresh(), True

    def _fresh(self) -> Connection:
        if time.monotonic() - self._failed_at < PAUSE:
            raise self.unavailable(self._failure)
        try:
            connection = Connection.open(self._url)
        except psycopg.Error as error:
            self._failed_at = time.monotonic()
            raise self._as_unavailable(error) from error
        try:
            try:
                self._prepare(connection)
            except _DROPPED:
                self._prepared = False
                self._prepare(connection)
        except psycopg.Error as error:
            connection.close()
            raise self._as_unavailable(error) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: Connection) -> None:
        if not self._prepared:
            made = schema.prepare(connection)
            if made and self._was_prepared:
                log.critical(
                    "journal was dropped",
                    missing=made,
                    hint="the database had lost them and has them again, empty; each host puts back what its copy has",
                )
            self._prepared = self._was_prepared = True
        schema.check_incarnation(connection)

    def _give_back(self, connection: Connection) -> None:
        with self._guard:
            if len(self._idle) < MAX_IDLE and not connection.closed:
                self._idle.append(connection)
                return
        connection.close()

    def _end(self, connection: Connection) -> None:
        """Close a connection that failed; the others at rest are lost too if this one was."""
        if connection.closed:
            with self._guard:
                others, self._idle = self._idle, []
            for other in others:
                other.close()
        with suppress(psycopg.Error):
            connection.close()

    def _as_unavailable(self, error: psycopg.Error) -> JournalUnavailable:
        self._failure = " ".join(str(error).split())[:300] or type(error).__name__
        return self.unavailable(self._failure)


def _with_partition(
    connection: Connection, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Do the work; the first record of a month whose partition nobody made is tried again with one."""
    try:
        return work(connection, *args, **kwargs)
    except errors.CheckViolation:
        schema.make_partitions(connection)
        return work(connection, *args, **kwargs)
