"""A watch over a folder, which tells whether a list of its files is still good."""

from __future__ import annotations

import os
import time
from pathlib import Path

#: Seconds for which the folder's time must stay the same before it is trusted; the kernel's is 10 ms coarse at most.
SETTLED = 1.0


class FolderWatch:
    """Tells whether files were added to a folder, removed or renamed since it was listed.

    Two changes may get the same time from the kernel, so a folder is listed until its time has stayed the same for SETTLED.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: tuple[int, ...] = ()
        self._since = 0.0
        self._was_settled = False

    def is_unchanged(self) -> bool:
        """Return whether the last list is still good; the caller makes a new one if not."""
        now = time.monotonic()
        seen = self._look()
        if seen != self._seen:
            self._seen, self._since = seen, now
        is_settled = now - self._since > SETTLED
        is_good, self._was_settled = is_settled and self._was_settled, is_settled
        return is_good

    def _look(self) -> tuple[int, ...]:
        """Return what tells the folder as it is from any other; the time of a change cannot be put back, as that of a file can."""
        try:
            about = os.stat(self._folder)  # noqa: PTH116 - quicker
        except FileNotFoundError:
            return ()
        return about.st_dev, about.st_ino, about.st_mtime_ns, about.st_ctime_ns
