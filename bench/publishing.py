"""Measure `.delay()`: a process of its own makes so many calls, in turn for each side, and no worker runs."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.environment import BenchEnvironment
from bench.sides import EFFECT, GATE, PLAIN, Side

SIDES = (PLAIN, GATE, EFFECT)


@dataclass(frozen=True)
class Published:
    """Calls per second, and microseconds of the caller's processor time for each, by side and round."""

    calls: int
    rounds: dict[str, list[tuple[float, float]]]

    def ratio(self, side: str) -> float:
        """Return the median of the rounds' ratios to plain Celery."""
        return median(own[0] / plain[0] for own, plain in zip(self.rounds[side], self.rounds[PLAIN.name], strict=True))

    def as_json(self) -> dict[str, Any]:
        return {
            name: {
                "calls_per_second": round(median(rate for rate, _ in rounds)),
                "ratio": round(self.ratio(name), 2),
                "microseconds": round(median(used for _, used in rounds)),
                "rounds": [round(rate) for rate, _ in rounds],
            }
            for name, rounds in self.rounds.items()
        }

    def __str__(self) -> str:
        lines = [
            f"\n.delay(): one process, {self.calls} calls in each round",
            f"{'':36}{'calls/s':>8}{'ratio':>7}{'µs':>6}",
        ]
        for name, row in self.as_json().items():
            rounds = " ".join(map(str, row["rounds"]))
            lines.append(f"{name:36}{row['calls_per_second']:8}{row['ratio']:7.2f}{row['microseconds']:6}   {rounds}")
        return "\n".join(lines)


def measure(environment: BenchEnvironment, rounds: int, calls: int) -> Published:
    """Let the sides alternate for so many rounds of so many calls."""
    found: dict[str, list[tuple[float, float]]] = {side.name: [] for side in SIDES}
    for number in range(rounds):
        for side in SIDES if number % 2 == 0 else reversed(SIDES):
            found[side.name].append(_one(environment, side, calls))
    return Published(calls, found)


def _one(environment: BenchEnvironment, side: Side, calls: int) -> tuple[float, float]:
    environment.empty()
    rate, used = environment.run("bench.fill", side.app, side.task, str(calls), "--timed").split()
    return float(rate), float(used)
