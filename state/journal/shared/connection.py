"""One connection to the database of the journal, on which nothing waits for longer than a deadline."""

from __future__ import annotations

import select
import time
from collections.abc import Generator
from typing import Any, Self, TypeVar

import psycopg
from psycopg import OperationalError
from psycopg.errors import Diagnostic
from psycopg.waiting import Ready, Wait

#: Seconds for a connection to be made.
CONNECT_SECONDS = 3
#: Seconds for one statement. The server ends a slow one itself; what it does not end is a COMMIT that waits for a standby.
STATEMENT_SECONDS = 10.0
#: How much later than the server this process gives up, in seconds.
GRACE = 1.0
#: What every session needs. A warning is how the server says that a record is not on the standby, so it must be sent.
_SESSION = {
    "synchronous_commit": "on",
    "client_min_messages": "warning",
    "timezone": "UTC",
    "statement_timeout": f"{STATEMENT_SECONDS:g}s",
    # The server notices within about 11 s that a host is gone, and frees the locks that it held.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}

T = TypeVar("T")

_EVENTS = {Wait.R: select.POLLIN, Wait.W: select.POLLOUT, Wait.RW: select.POLLIN | select.POLLOUT}


class TooSlow(OperationalError):
    """Raised when the database does not answer in time; whether it did what was asked is not known."""


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that is closed when an answer takes too long; used by one thread at a time."""

    deadline = STATEMENT_SECONDS + GRACE  #: seconds for each answer
    warning = ""  #: what the server warned of since the last statement began

    @classmethod
    def open(cls, url: str) -> Self:
        """Connect to the primary. Raises psycopg.Error."""
        made = cls.connect(
            url,
            autocommit=True,
            prepare_threshold=0,
            application_name="gatehouse",
            client_encoding="utf8",
            connect_timeout=CONNECT_SECONDS,
            target_session_attrs="read-write",
            options=" ".join(f"-c {name}={value}" for name, value in _SESSION.items()),
        )
        made.add_notice_handler(made._warned)  # noqa: SLF001 - its own
        return made

    def __del__(self, _warn: object = None, /) -> None:
        """Leave the end to libpq's wrapper: it closes a connection only in the process that made it, not in a fork."""

    def wait(self, gen: Generator[Any, Any, T], interval: float = 0.0, timeout: float | None = None) -> T:  # noqa: ARG002 - as psycopg calls it
        """Run one exchange with the server. Raises TooSlow, and closes the connection, if it takes too long."""
        ends = time.monotonic() + self.deadline
        try:
            wanted = next(gen)
            while True:
                wanted = gen.send(self._ready(wanted, ends))
        except StopIteration as done:
            result: T = done.value
            return result
        except psycopg.Error:
            raise
        except BaseException:  # a signal in the middle of an exchange: nobody knows what the next answer belongs to
            self.close()
            raise

    def _ready(self, wanted: Wait, ends: float) -> Ready:
        poll = select.poll()
        poll.register(self.fileno(), _EVENTS[wanted])
        found = poll.poll(max(0, int(1000 * (ends - time.monotonic()))))
        if not found:
            self.close()
            raise TooSlow(f"no answer within {self.deadline:g} s")
        [(_, events)] = found
        can_write = bool(events & select.POLLOUT)
        can_read = bool(events & ~select.POLLOUT)  # an error is read too
        return Ready.RW if can_read and can_write else Ready.R if can_read else Ready.W

    def _warned(self, notice: Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self.warning = notice.message_primary or "a warning"
