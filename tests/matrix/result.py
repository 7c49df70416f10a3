"""What one combination did, and the table of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.matrix.combination import Combination
from tests.torture.verdict import Verdict

FAULTS = ("worker", "broker", "ledger", "database")
HEAD = (
    "broker", "ledger", "journal", "accepted", "asked", "effects", "twice", "lost", "in doubt", "recovered",
    *(f"{fault} s" for fault in FAULTS),
)  # fmt: skip


@dataclass
class Result:
    """One row. `absent` says which server is not installed, `problems` what does not hold."""

    combination: Combination
    verdict: Verdict | None = None
    accepted: int = 0  #: checks of the acceptance that hold
    seconds: dict[str, float] = field(default_factory=dict)  #: fault → until work went on
    recoveries: int = 0  #: how often effects were closed until `gatehouse recover`
    versions: frozenset[str] = frozenset()  #: of the servers
    absent: str = ""
    problems: list[str] = field(default_factory=list)

    @property
    def is_red(self) -> bool:
        return bool(self.problems or (self.verdict and self.verdict.broken))

    @property
    def why(self) -> str:
        """What is broken, a line each."""
        broken = self.verdict.broken if self.verdict else {}
        parts = [f"{promise}: {', '.join(keys[:5])}" for promise, keys in broken.items()]
        return "\n".join(f"  {part}" for part in [*self.problems, *parts])

    @property
    def lost(self) -> int:
        """Keys that are gone, still move, or are said to be done and did not happen."""
        verdict = self.verdict
        return len({*verdict.lost, *verdict.falsely_done}) if verdict else 0

    def row(self) -> list[str]:
        """The cells of the table."""
        if self.verdict is None:
            return [*self.combination, "not run" if self.absent else "broke", *[""] * (len(HEAD) - 4)]
        ended = self.verdict.ended
        numbers = (
            self.verdict.asked,
            self.verdict.effects,
            len(self.verdict.duplicates),
            self.lost,
            ended["unknown"] + ended["held"],
            self.recoveries,
        )
        return [*self.combination, str(self.accepted), *map(str, numbers), *map(self._waited, FAULTS)]

    def _waited(self, fault: str) -> str:
        """Seconds until work went on; a server that is broker and ledger was killed once, for both."""
        both = self.seconds.get("broker and ledger") if fault in {"broker", "ledger"} else None
        found = self.seconds.get(fault, both)
        return "–" if found is None else f"{found:.1f}"


def text(results: Sequence[Result]) -> str:
    """Return the table for a terminal."""
    rows = [list(HEAD), *(result.row() for result in results)]
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(HEAD))]
    return "\n".join("  ".join(map(str.ljust, cells, widths)).rstrip() for cells in rows)


def table(results: Sequence[Result]) -> str:
    """Return the table for a page."""
    rows = [list(HEAD), ["---"] * 3 + ["--:"] * (len(HEAD) - 3), *(result.row() for result in results)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
