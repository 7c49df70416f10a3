"""The scenarios: each one injects one fault of the list, again and again, and leaves the verdict to the judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.torture.arena import Arena

Play = Callable[[Arena, int], None]


@dataclass(frozen=True)
class Scenario:
    """One fault. `play(arena, rounds)` injects it; `short` and `long` are the rounds of the two forms."""

    fault: str
    title: str
    short: int
    long: int
    play: Play
    env: Mapping[str, str] = field(default_factory=dict)
    missing: Callable[[], str | None] = lambda: None  #: why it cannot be injected on this machine
    epilogue: bool = True  #: at the end Redis is emptied and rebuilt, and everything is asked for again
    limit: float = 120.0  #: seconds of an idle machine for the short form; the long form gets as much for each such number of rounds

    @property
    def name(self) -> str:
        return self.play.__name__

    def named_in(self, words: list[str]) -> bool:
        """Whether one of these words is its fault or its name."""
        return self.fault in words or self.name in words

    @property
    def number(self) -> int:
        return int(self.fault.removeprefix("F")) if self.fault != "mix" else 99


SCENARIOS: dict[str, Scenario] = {}


def fault(
    number: str,
    title: str,
    *,
    short: int,
    long: int,
    env: Mapping[str, str] | None = None,
    missing: Callable[[], str | None] = lambda: None,
    epilogue: bool = True,
    limit: float = 120.0,
) -> Callable[[Play], Play]:
    """Register a function as the scenario of a fault."""

    def register(play: Play) -> Play:
        if play.__name__ in SCENARIOS:
            raise ValueError(f"two scenarios are called {play.__name__}")
        SCENARIOS[play.__name__] = Scenario(number, title, short, long, play, env or {}, missing, epilogue, limit)
        return play

    return register


def chosen(only: list[str], without: list[str] | None = None) -> list[Scenario]:
    """Those whose fault or name is named, or all but those `without`, in the order of the list of faults."""
    import tests.torture.faults  # noqa: F401 - it registers them here

    wanted = [one for one in SCENARIOS.values() if (not only or one.named_in(only)) and not one.named_in(without or [])]
    unknown = set(only) - {one.fault for one in wanted} - {one.name for one in wanted}
    if unknown:
        raise SystemExit(f"no scenario is called {', '.join(sorted(unknown))}; there are: {', '.join(SCENARIOS)}")
    return sorted(wanted, key=lambda one: one.number)
