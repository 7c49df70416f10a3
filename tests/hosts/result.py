"""What one scenario did, and the tables of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.torture.verdict import Verdict

HEAD = ("scenario", "asked", "effects", "twice", "lost", "in doubt")
LIMIT_HEAD = ("limit", "allowed", "asked on A", "effects of A", "then asked on B", "effects of B", "refused on B as")


@dataclass
class Result:
    """One row of the scenarios. `problems` says what does not hold, `absent` what is missing here."""

    name: str
    verdict: Verdict | None = None
    problems: list[str] = field(default_factory=list)
    absent: str = ""
    seconds: float = 0.0

    @property
    def is_red(self) -> bool:
        return bool(self.problems or (self.verdict and self.verdict.broken) or not (self.verdict or self.absent))

    @property
    def why(self) -> str:
        """What is broken, a line each."""
        broken = self.verdict.broken if self.verdict else {}
        return "\n".join([*self.problems, *(f"{promise}: {', '.join(keys[:5])}" for promise, keys in broken.items())])

    @property
    def lost(self) -> int:
        """Keys that are gone, still move, or are said to be done and did not happen."""
        return len({*self.verdict.lost, *self.verdict.falsely_done}) if self.verdict else 0

    @property
    def row(self) -> list[str]:
        if self.verdict is None:
            return [self.name, "not run" if self.absent else "broke", *[""] * (len(HEAD) - 2)]
        doubtful = self.verdict.ended["unknown"] + self.verdict.ended["held"]
        numbers = (self.verdict.asked, self.verdict.effects, len(self.verdict.duplicates), self.lost, doubtful)
        return [self.name, *map(str, numbers)]


@dataclass
class Limited:
    """One limit: what was asked of each host, and what the judge has of each."""

    name: str
    allowed: int
    asked: tuple[int, int]
    effects: tuple[int, int]
    refused: str

    @property
    def is_red(self) -> bool:
        return sum(self.effects) != self.allowed or not self.refused

    @property
    def row(self) -> list[str]:
        (asked_a, asked_b), (of_a, of_b) = self.asked, self.effects
        return [self.name, *map(str, (self.allowed, asked_a, of_a, asked_b, of_b)), self.refused]


def text(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table for a terminal."""
    cells = [list(head), *map(list, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table for a page."""
    marks = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, marks, *rows))
