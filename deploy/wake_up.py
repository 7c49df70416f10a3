"""Wake a `select` when a signal arrives, also that of a child that has ended."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from types import FrameType


class WakeUp:
    """A descriptor that is readable once a signal has arrived, until `clear`."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def install(self) -> None:
        """Have the signals of this process wake it; a fork calls `uninstall`, because it inherits this."""
        signal.signal(signal.SIGCHLD, _ignore)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._read

    def clear(self) -> None:
        """Forget the signals so far."""
        with suppress(BlockingIOError):
            while os.read(self._read, 4096):
                pass


def uninstall() -> None:
    """Give up what `WakeUp.install` set, in a fork."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Do nothing; a signal with a handler is written to the descriptor."""
