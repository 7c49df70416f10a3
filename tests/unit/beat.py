"""How long a thread of this process was kept from running: what a heartbeat would have felt."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

PAUSE = 0.01


class Beat:
    """Beats every hundredth of a second inside `with`; `longest_silence` is in seconds."""

    def __init__(self) -> None:
        self.longest_silence = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        last = time.monotonic()
        while not self._over.wait(PAUSE):
            now = time.monotonic()
            self.longest_silence, last = max(self.longest_silence, now - last), now
