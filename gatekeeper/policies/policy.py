"""The policies of a task: rate, cap, budget, breaker and effect. A value that makes no sense is refused at import."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeVar

from gatekeeper.errors import PolicyError
from gatekeeper.policies.durations import Duration, duration_ms, parse_budget, parse_rate

#: A call that a rate would delay longer than this is refused: after a day its caller no longer expects it.
MAX_WAIT = "1d"


class Rung(enum.StrEnum):
    """The way in which an answer was made, best first."""

    MODEL = "model"
    RULES = "rules"
    RAW = "raw"

    def is_below(self, other: Rung) -> bool:
        """Return whether this rung is worse than `other`."""
        rungs = list(Rung)
        return rungs.index(self) > rungs.index(other)


@dataclass(frozen=True)
class Rate:
    """A limit on how often a task runs: a burst of `count` calls, then evenly spaced.

    Args:
        text: Count and period, such as `"10/hour"`.
        over: `wait` runs a call above the rate at its turn, `drop` refuses it.
        scope: A template, such as `"{destination}"`; each of its values has a rate of its own.
        within: The longest wait; a call that would wait longer is refused.

    Raises:
        PolicyError: an argument cannot be used.

    """

    example: ClassVar[str] = "10/hour"
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
        if self.over not in ("wait", "drop"):  # a tuple, because a set could not look up an unhashable value
            raise PolicyError(f"Rate(over={self.over!r}) is not known; write 'wait' or 'drop'")
        if self.over == "drop" and self.within != MAX_WAIT:
            raise PolicyError(
                "Rate(within=…) says how long a call may wait, but with over='drop' calls do not wait; remove one"
            )
        object.__setattr__(self, "burst", count)
        object.__setattr__(self, "every_ms", period_ms / count)
        object.__setattr__(self, "wait_ms", duration_ms(self.within) if self.over == "wait" else 0)


@dataclass(frozen=True)
class Cap:
    """A limit on effects that happened; reaching it pauses the calls that it counts.

    Args:
        text: Count and period, such as `"30/day"`.
        scope: A template, such as `"{destination}"`; each of its values has a cap of its own.

    Raises:
        PolicyError: an argument cannot be used.

    """

    example: ClassVar[str] = "10/hour"
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
class Budget:
    """A limit on the tokens that models charge; calls start while fewer are spent, and one that runs may go beyond it.

    Args:
        text: Tokens and period, such as `"200000 tokens/day"`.
        scope: A template, such as `"{customer}"`; each of its values has a budget of its own.

    Raises:
        PolicyError: an argument cannot be used.

    """

    example: ClassVar[str] = "200000 tokens/day"
    text: str
    scope: str = ""
    limit: int = field(init=False)
    window_ms: int = field(init=False)

    def __post_init__(self) -> None:
        limit, window_ms = parse_budget(self.text)
        _check_scope("Budget", self.scope)
        object.__setattr__(self, "limit", limit)
        object.__setattr__(self, "window_ms", window_ms)


@dataclass(frozen=True)
class Breaker:
    """A circuit breaker: it opens after consecutive failures, and lets one probe through after the cooldown.

    Args:
        after: Consecutive failures that open it.
        cooldown: How long it stays open.
        scope: A template, such as `"{destination}"`; each of its values has a breaker of its own.

    Raises:
        PolicyError: an argument cannot be used.

    """

    after: int = 5
    cooldown: Duration = "5m"
    scope: str = ""
    cooldown_ms: int = field(init=False)

    def __post_init__(self) -> None:
        if not _is_positive_int(self.after):
            raise PolicyError(f"Breaker(after={self.after!r}) can never be closed; write at least 1")
        _check_scope("Breaker", self.scope)
        object.__setattr__(self, "cooldown_ms", duration_ms(self.cooldown))


@dataclass(frozen=True)
class Effect:
    """Declare that the task changes the world outside, at most once per key.

    `verify`, `undo` and `then` may also take arguments of the task, by name. An effect in doubt is sent again only after
    its sender is proven dead, the drain time has passed, and `absences` look-ups since then have not found it.

    Args:
        verify: `verify(payload)` asks the provider whether the effect happened; it returns the result, or None.
        undo: `undo(output)` takes back an effect whose output fails validation.
        then: `then(output)` runs once it is certain that the effect happened, also if a look-up found it; write to the
            agent's memory here.
        accepts: The lowest rung whose answers may be sent.
        drain: How long a request may take to arrive after its sender died.
        absences: Look-ups without a match that prove an absence.
        every: The time between two look-ups.
        approval: How long a person may take to approve an effect of an agent that asks; then the call is rejected.

    Raises:
        PolicyError: an argument cannot be used.

    """

    verify: Callable[..., Any] | None = None
    undo: Callable[..., Any] | None = None
    then: Callable[..., Any] | None = None
    accepts: Rung = Rung.RAW
    drain: Duration = "90s"
    absences: int = 2
    every: Duration = "60s"
    approval: Duration = "7d"
    proof: str = field(init=False, repr=False)
    approval_ms: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("verify", "undo", "then"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise PolicyError(f"Effect({name}={value!r}) is not a function")
        if not isinstance(self.accepts, str) or self.accepts not in set(Rung):
            raise PolicyError(f"Effect(accepts={self.accepts!r}) is not a rung; write one of {', '.join(Rung)}")
        if not _is_positive_int(self.absences):
            raise PolicyError(f"Effect(absences={self.absences!r}) would need no proof; write at least 1")
        object.__setattr__(self, "approval_ms", duration_ms(self.approval))
        proof = {"drain_ms": duration_ms(self.drain), "every_ms": duration_ms(self.every), "absences": self.absences}
        object.__setattr__(self, "proof", json.dumps(proof) if self.verify else "")


@dataclass(frozen=True)
class Policies:
    """The arguments of the decorator."""

    key: str | None
    rates: tuple[Rate, ...]
    caps: tuple[Cap, ...]
    breaker: Breaker | None
    effect: Effect | None
    lease: Duration
    time_limit: Duration | None
    attempts: int | None
    backoff: Duration
    max_age: Duration
    budgets: tuple[Budget, ...] = ()


Rule = TypeVar("Rule", Rate, Cap, Budget)


def _check_scope(policy: str, scope: Any) -> None:
    if not isinstance(scope, str):
        raise PolicyError(f"{policy}(scope={scope!r}) is not a template; write for example scope='{{destination}}'")


def several(kind: type[Rule], given: str | Rule | list[str | Rule] | None) -> tuple[Rule, ...]:
    """Return one rate, cap or budget, or several, given as text or as an object of this kind; raise PolicyError for anything else."""
    rules = given if isinstance(given, list | tuple) else [] if given is None else [given]
    for one in rules:
        if not isinstance(one, str | kind):
            raise PolicyError(f"{kind.__name__.lower()}={one!r} is not a text; write for example '{kind.example}'")
    return tuple(one if isinstance(one, kind) else kind(str(one)) for one in rules)


def _is_positive_int(value: Any) -> bool:
    """Return whether the value is a whole number of at least 1; True is a bool, not a number."""
    return type(value) is int and value >= 1
