"""An account at the drill's destination: what arrived for one fault, and where a request is to be held up."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Literal

#: Seconds. Nobody is held up for longer, whatever becomes of the drill.
MAX_HOLD = 60.0

#: What becomes of the next effect: it happens, it is lost on its way, its answer is lost, or Redis is while it is sent.
Fate = Literal["ok", "lost", "answer lost", "cut"]


class Account:
    """Everything it knows is in memory, and noted before any answer leaves."""

    def __init__(self) -> None:
        self.effects: list[str] = []  #: the key of each, in order; a second one is never refused
        self.seen: Counter[str] = Counter()  #: how many requests came to each place
        self._fate: Fate = "ok"
        self._holds: dict[str, threading.Event] = {}
        self._held: dict[str, threading.Event] = {}
        self._senders: dict[str, int] = {}
        self._lock = threading.Lock()

    def hold(self, place: str) -> None:
        """Hold up the next request that comes to this place."""
        self._holds[place] = threading.Event()

    def fate(self, fate: Fate) -> None:
        """Decide what becomes of the next effect."""
        self._fate = fate

    def sender(self, place: str) -> int | None:
        """The process whose request is held up there."""
        return self._senders.get(place)

    def release(self, place: str) -> None:
        self._held.pop(place).set()

    def come_by(self, place: str, sender: int) -> None:
        """A request is at this place; returns when it may go on."""
        with self._lock:
            self.seen[place] += 1
            hold = self._holds.pop(place, None)
            if hold:
                self._held[place], self._senders[place] = hold, sender
        if hold:
            hold.wait(MAX_HOLD)

    def take(self, key: str, sender: int) -> Fate:
        """An effect arrives; answers what became of it."""
        with self._lock:
            fate, self._fate = self._fate, "ok"
        self.come_by("arrived", sender)
        if fate != "lost":
            self.effects.append(key)
            self.come_by("applied", sender)
        return fate
