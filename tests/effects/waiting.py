"""The requests that are being held back right now."""

from __future__ import annotations

import threading
from collections import Counter


class _Request:
    def __init__(self, key: str) -> None:
        self.key = key
        self.over = threading.Event()
        self.abandoned = False


class Waiting:
    """Requests that wait, until their time is up or a test lets them go."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: set[_Request] = set()
        self._releases = 0

    def ticket(self) -> int:
        """To be taken before it is decided that a request waits, so that a release in between lets it go too."""
        with self._lock:
            return self._releases

    def wait(self, key: str, seconds: float, ticket: int) -> bool:
        """Hold the calling thread; False when the request was abandoned and must have no further effect."""
        request = _Request(key)
        with self._lock:
            if ticket != self._releases:
                return True
            self._requests.add(request)
        request.over.wait(seconds)
        with self._lock:
            self._requests.discard(request)
        return not request.abandoned

    def keys(self) -> list[str]:
        with self._lock:
            return sorted(Counter(request.key for request in self._requests).elements())

    def release(self, key: str | None = None) -> None:
        """Let the held requests of one key, or all, go on as if their time were up."""
        self._end(key, abandon=False)

    def abandon(self) -> None:
        self._end(None, abandon=True)

    def _end(self, key: str | None, *, abandon: bool) -> None:
        with self._lock:
            self._releases += key is None
            for request in [request for request in self._requests if key in (None, request.key)]:
                self._requests.discard(request)
                request.abandoned = abandon
                request.over.set()
