"""The policies a task may carry. Nonsense is refused where it is written, at import."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from gatekeeper.errors import PolicyError
from gatekeeper.policies.durations import Duration, duration_ms, parse_rate

#: A call that waited longer than this for a rate is refused: after a day nobody expects it any more.
MAX_WAIT = "1d"


class Rung(enum.StrEnum):
    """How an answer was made, best first."""

    MODEL = "model"
    RULES = "rules"
    RAW = "raw"

    def is_below(self, other: Rung) -> bool:
        rungs = list(Rung)
        return rungs.index(self) > rungs.index(other)


@dataclass(frozen=True)
class Rate:
    """So many per period, in a burst and then evenly.

    `over` says what happens to a call above it: `wait` sends it again at its turn, `drop` refuses it.
    `scope` is a template that gives each of its values a rate of its own: `"{destination}"`.
    """

    text: str
    over: Literal["wait", "drop"] = "wait"
    scope: str = ""
    within: Duration = MAX_WAIT
    burst: int = field(init=False)
    every_ms: float = field(init=False)
    wait_ms: int = field(init=False)

    def __post_init__(self) -> None:
        count, period_ms = parse_rate(self.text)
        _check_scope("Rate", self.scope)
        if self.over not in ("wait", "drop"):  # a tuple: what cannot be hashed is compared, too
            raise PolicyError(f"Rate(over={self.over!r}) is not known; write 'wait' or 'drop'")
        if self.over == "drop" and self.within != MAX_WAIT:
            raise PolicyError(
                "Rate(within=…) says how long a call may wait, but over='drop' lets none wait; remove one"
            )
        object.__setattr__(self, "burst", count)
        object.__setattr__(self, "every_ms", period_ms / count)
        object.__setattr__(self, "wait_ms", duration_ms(self.within) if self.over == "wait" else 0)


@dataclass(frozen=True)
class Cap:
    """A limit on effects that happened; reaching it pauses the agent."""

    text: str
    scope: str = ""
    limit: int = field(init=False)
    window_ms: int = field(init=False)

    def __post_init__(self) -> None:
        limit, window_ms = parse_rate(self.text)
        _check_scope("Cap", self.scope)
        object.__setattr__(self, "limit", limit)
        object.__setattr__(self, "window_ms", window_ms)


@dataclass(frozen=True)
class Breaker:
    """Trips after so many failures in a row, cools down, then lets one probe through."""

    after: int = 5
    cooldown: Duration = "5m"
    scope: str = ""
    cooldown_ms: int = field(init=False)

    def __post_init__(self) -> None:
        if not _counts(self.after):
            raise PolicyError(f"Breaker(after={self.after!r}) can never be closed; write at least 1")
        _check_scope("Breaker", self.scope)
        object.__setattr__(self, "cooldown_ms", duration_ms(self.cooldown))


@dataclass(frozen=True)
class Effect:
    """The task changes the world outside, at most once per key.

    `verify(payload)` asks the provider whether the effect happened: its result, or None. `undo(output)` takes back an
    effect whose output fails validation. `then(output)` runs once it is certain that the effect happened, also if a
    look-up found it: what the task remembers of it belongs there. Each may take arguments of the task too, by their
    names. `accepts` is the lowest rung whose answers may go out.

    An effect in doubt is looked up `every` so often. It is sent again once nobody can be sending it any more, what was
    on its way has had the `drain` time to arrive, and `absences` look-ups since then have not found it.
    """

    verify: Callable[..., Any] | None = None
    undo: Callable[..., Any] | None = None
    then: Callable[..., Any] | None = None
    accepts: Rung = Rung.RAW
    drain: Duration = "90s"
    absences: int = 2
    every: Duration = "60s"
    proof: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("verify", "undo", "then"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise PolicyError(f"Effect({name}={value!r}) is not a function")
        if not isinstance(self.accepts, str) or self.accepts not in set(Rung):
            raise PolicyError(f"Effect(accepts={self.accepts!r}) is no rung; write one of {', '.join(Rung)}")
        if not _counts(self.absences):
            raise PolicyError(f"Effect(absences={self.absences!r}) would take nothing for a proof; write at least 1")
        proof = {"drain_ms": duration_ms(self.drain), "every_ms": duration_ms(self.every), "absences": self.absences}
        object.__setattr__(self, "proof", json.dumps(proof) if self.verify else "")


def _check_scope(policy: str, scope: Any) -> None:
    if not isinstance(scope, str):
        raise PolicyError(f"{policy}(scope={scope!r}) is not a template; write for example scope='{{destination}}'")


def rates(given: str | Rate | list[str | Rate] | None) -> tuple[Rate, ...]:
    """One rate or several, as text or as `Rate`."""
    return tuple(one if isinstance(one, Rate) else Rate(one) for one in _several("rate", given, Rate))


def caps(given: str | Cap | list[str | Cap] | None) -> tuple[Cap, ...]:
    """One cap or several, as text or as `Cap`."""
    return tuple(one if isinstance(one, Cap) else Cap(one) for one in _several("cap", given, Cap))


def _several(argument: str, given: Any, kind: type) -> list[Any]:
    """One or several rules; each a text, or what it becomes."""
    several = list(given) if isinstance(given, list | tuple) else [] if given is None else [given]
    for one in several:
        if not isinstance(one, str | kind):
            raise PolicyError(f"{argument}={one!r} is not a text; write for example '10/hour'")
    return several


def _counts(value: Any) -> bool:
    """Whether it is a whole number from 1 on; True is not one."""
    return type(value) is int and value >= 1
