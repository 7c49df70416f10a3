"""One row of the table: what a fault did."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import quantiles

from tests.torture.scenario import Scenario
from tests.torture.verdict import Verdict


@dataclass
class Result:
    """What came of one scenario. `absent` says why it was not injected, `problem` what went wrong in playing it."""

    scenario: Scenario
    seed: int
    rounds: int = 0
    faults: int = 0
    hits: int = 0
    seconds: float = 0.0
    verdict: Verdict | None = None
    recoveries: list[float] = field(default_factory=list)
    absent: str = ""
    problem: str = ""
    folder: str = ""

    @property
    def is_red(self) -> bool:
        return bool(self.problem or (self.verdict and self.verdict.broken))

    @property
    def why(self) -> str:
        """What was broken, in a few words."""
        broken = self.verdict.broken if self.verdict else {}
        parts = [
            f"{promise}: {len(keys)} ({', '.join(keys[:3])}{', …' * (len(keys) > 3)})"
            for promise, keys in broken.items()
        ]
        return "; ".join([*parts, *([self.problem] if self.problem else [])])

    def recovery(self, percent: int) -> float | None:
        """A percentile of the seconds until a key came to rest after the fault."""
        if not self.recoveries:
            return None
        if len(self.recoveries) == 1:
            return self.recoveries[0]
        return quantiles(self.recoveries, n=100, method="inclusive")[percent - 1]
