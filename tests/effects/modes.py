"""How the effect server behaves towards one request, and who decides it."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import NamedTuple

#: Modes without an argument, and with how many they come otherwise: `name:argument[:argument]`.
ARGUMENTS = {
    "ok": (0, 0),
    "apply_then_drop": (0, 0),
    "apply_then_reset": (0, 0),
    "apply_then_status": (1, 1),
    "truncate": (0, 0),
    "delay": (1, 2),
    "delay_after": (1, 1),
    "refuse": (1, 2),
    "refuse_until": (2, 2),
}


class Mode(NamedTuple):
    """One behaviour, as in `refuse:429:30`."""

    name: str
    arguments: tuple[str, ...] = ()

    @property
    def status(self) -> int:
        return int(self.arguments[0])

    @property
    def seconds(self) -> float:
        return float(self.arguments[0])

    @property
    def promised(self) -> float:
        """Seconds after a request's arrival from which the provider will not apply it any more."""
        return float(self.arguments[1]) if len(self.arguments) > 1 else math.inf

    @property
    def retry_after(self) -> str | None:
        """As seconds, or as the date that lies so many seconds ahead."""
        if self.name == "refuse_until":
            return formatdate(time.time() + float(self.arguments[1]), usegmt=True)
        return self.arguments[1] if len(self.arguments) > 1 else None


def parse(text: str) -> Mode:
    """Read a mode; a word that is not one is an error, so that a misspelt test cannot pass."""
    name, *arguments = text.split(":")
    if name not in ARGUMENTS:
        raise ValueError(f"mode {name!r} is not known; write one of: {', '.join(ARGUMENTS)}")
    fewest, most = ARGUMENTS[name]
    if not fewest <= len(arguments) <= most:
        raise ValueError(f"mode {text!r} takes {fewest} to {most} arguments after colons")
    for argument in arguments:
        float(argument)
    return Mode(name, tuple(arguments))


@dataclass
class _Standing:
    mode: Mode
    left: int | None  #: for how many more requests; None is for ever


@dataclass
class Modes:
    """The standing orders: one for every key (None) and one for each key that has its own."""

    _standing: dict[str | None, _Standing] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, text: str, key: str | None = None, for_next: int | None = None) -> None:
        with self._lock:
            self._standing[key] = _Standing(parse(text), for_next)

    def take(self, key: str) -> Mode:
        """What holds for this request; a key's own order comes before the general one."""
        with self._lock:
            for scope in (key, None):
                if scope in self._standing:
                    return self._use(scope)
        return Mode("ok")

    def clear(self) -> None:
        with self._lock:
            self._standing.clear()

    def _use(self, scope: str | None) -> Mode:
        standing = self._standing[scope]
        if standing.left is not None:
            standing.left -= 1
            if standing.left <= 0:
                del self._standing[scope]
        return standing.mode
