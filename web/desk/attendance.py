"""Note that a person looks at the desk: an alert that nobody looked after is escalated."""

from __future__ import annotations

import time

from state.agents import attention

#: Seconds in which further pages of the same person are not noted.
EVERY = 30.0
#: People of whom a process remembers it.
_MAX_PEOPLE = 100
_noted: dict[str, float] = {}


def note(name: str) -> None:
    """Note that a person opened a page, or decided; a page that refreshes itself shows that to nobody. Raises StoreError."""
    now = time.monotonic()
    if now - _noted.get(name, -EVERY) < EVERY:
        return
    attention.looked(name)
    if len(_noted) >= _MAX_PEOPLE:
        _noted.clear()
    _noted[name] = now
