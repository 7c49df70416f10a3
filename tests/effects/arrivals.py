"""The requests that came in: those that have no answer yet, and what bodies each key was asked with."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Arrivals:
    """Every request since the last `clear`, whether it was applied or not."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._open: dict[int, tuple[str, str]] = {}
        self._counts: Counter[str] = Counter()
        self._lookups: Counter[str] = Counter()
        self._bodies: dict[str, Counter[str]] = {}
        self._refused: dict[str, Counter[str]] = {}

    @contextmanager
    def request(self, key: str, body: bytes, sender: str) -> Iterator[None]:
        """A request that is open for as long as the block runs; `sender` is how the client calls itself."""
        with self._lock:
            number = next(self._ids)
            self._open[number] = (key, sender)
            self._counts[key] += 1
            self._bodies.setdefault(key, Counter())[_digest(body)] += 1
        try:
            yield
        finally:
            with self._lock:
                self._open.pop(number, None)

    def refuse(self, key: str, body: bytes) -> None:
        """Note that one request with this body was answered by a clear refusal."""
        with self._lock:
            self._refused.setdefault(key, Counter())[_digest(body)] += 1

    def look_up(self, key: str) -> None:
        with self._lock:
            self._lookups[key] += 1

    def count(self, key: str | None) -> int:
        with self._lock:
            return self._counts.total() if key is None else self._counts[key]

    def open(self) -> list[dict[str, Any]]:
        """The requests that began and have no answer yet, oldest first."""
        with self._lock:
            return [{"id": number, "key": key, "sender": sender} for number, (key, sender) in self._open.items()]

    def asked(self) -> dict[str, dict[str, int]]:
        """Per key: requests, different bodies among them, those that were not always refused, and look-ups."""
        with self._lock:
            keys = [*self._counts, *(key for key in self._lookups if key not in self._counts)]
            return {
                key: {
                    "requests": self._counts[key],
                    "bodies": len(self._bodies.get(key, ())),
                    "doubtful": len(self._bodies.get(key, Counter()) - self._refused.get(key, Counter())),
                    "lookups": self._lookups[key],
                }
                for key in keys
            }

    def clear(self) -> None:
        """Forget what was; a request that is still open stays so."""
        with self._lock:
            self._counts.clear()
            self._lookups.clear()
            self._bodies.clear()
            self._refused.clear()


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
