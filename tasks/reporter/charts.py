"""Compute the geometry of charts; the templates draw them as SVG and escape their labels.

Horizontal positions are per cent of the width and vertical ones pixels, so that a chart fits every screen and its labels
keep their size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SECOND, MINUTE = 1000, 60_000
#: Shown in place of a missing number.
DASH = "–"  # noqa: RUF001 - as in print
#: Pixels; one failure among a thousand runs must stay visible.
MIN_HEIGHT = 3
#: Pixels between two pieces of one column.
GAP = 1
#: The share of a column's width that stays empty on each side.
MARGIN = 0.16


@dataclass(frozen=True)
class Piece:
    """One coloured part of a column."""

    kind: str
    y: float
    height: float


@dataclass(frozen=True)
class Column:
    """One day: its pieces from the bottom up, the total above it, the label below it, and its text description."""

    label: str
    total: int
    description: str
    x: float
    width: float
    pieces: list[Piece]

    @property
    def middle(self) -> float:
        return round(self.x + self.width / 2, 2)


def stacked(rows: Sequence[tuple[str, Mapping[str, int]]], height: int, thinnest: int = MIN_HEIGHT) -> list[Column]:
    """Lay out stacked columns side by side on a base line at `height` pixels.

    Args:
        rows: Per column its label and its numbers by kind.
        height: Pixels; the highest column fills it.
        thinnest: Pixels; the least height of a piece.

    """
    highest = max((sum(numbers.values()) for _, numbers in rows), default=0)
    most = max((sum(map(bool, numbers.values())) for _, numbers in rows), default=0)
    room = height - (thinnest + GAP) * most
    place = 100 / max(len(rows), 1)
    return [
        Column(
            label,
            sum(numbers.values()),
            f"{label}: " + (", ".join(f"{n} {kind}" for kind, n in numbers.items() if n) or "nothing"),
            round((i + MARGIN) * place, 2),
            round(place * (1 - 2 * MARGIN), 2),
            _pieces(numbers, room / max(highest, 1), thinnest, height),
        )
        for i, (label, numbers) in enumerate(rows)
    ]


def _pieces(numbers: Mapping[str, int], each: float, thinnest: int, height: int) -> list[Piece]:
    """Stack pieces from the base line up; `each` is the height of one unit above the least height, in pixels."""
    pieces, y = [], float(height)
    for kind, number in numbers.items():
        if not number:
            continue
        tall = round(thinnest + each * number, 1)
        y = round(y - tall, 1)
        pieces.append(Piece(kind, y, tall))
        y -= GAP
    return pieces


def scale(slowest_ms: int) -> int:
    """Return the right end of a logarithmic scale from 1 ms: the next power of ten in ms, at least 1000."""
    return int(10 ** max(3, math.ceil(math.log10(max(slowest_ms, 1)))))


def place(ms: int, whole_ms: int) -> float:
    """Return where a duration lies on a logarithmic scale from 1 ms to `whole_ms`, in per cent."""
    return round(100 * math.log10(max(ms, 1)) / math.log10(whole_ms), 2)


def ticks(whole_ms: int) -> list[tuple[float, str]]:
    """Return the position and the label of each power of ten on that scale."""
    powers = [10**exponent for exponent in range(round(math.log10(whole_ms)) + 1)]
    return [(place(ms, whole_ms), f"{ms} ms" if ms < SECOND else f"{ms // SECOND} s") for ms in powers]


def duration(ms: int | None) -> str:
    """Format a duration as `12 ms`, `3.4 s` or `2 min`."""
    if ms is None:
        return DASH
    if ms < SECOND:
        return f"{ms} ms"
    if ms < MINUTE:
        return f"{ms / SECOND:.1f} s".replace(".0 s", " s")
    return f"{ms / MINUTE:.1f} min".replace(".0 min", " min")
