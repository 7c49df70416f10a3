"""The charts of a mailed report: pictures without words, whose numbers are beside them and in their alternative texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.reporter import charts
from tasks.reporter.charts import Column
from tasks.reporter.daily_report import AgentReport, DailyReport
from tasks.reporter.mailing import png
from tasks.reporter.mailing.png import Box

#: Pixels. A mail is about 600 wide.
WIDTH, HEIGHT = 560, 140
SMALL_WIDTH, SMALL_HEIGHT = 84, 30
RANGE_WIDTH, RANGE_HEIGHT = 200, 14


@dataclass(frozen=True)
class Picture:
    """One chart: its name within the mail, its PNG, its size in pixels and its text for readers that show no pictures."""

    name: str
    png: bytes
    width: int
    height: int
    alt: str


def runs(report: DailyReport) -> Picture:
    """Draw the runs and refusals of the seven days."""
    rows = [(f"{day:%a} {day.day}", each.by_outcome) for day, each in zip(report.days, report.per_day, strict=True)]
    return _columns("runs", rows, WIDTH, HEIGHT)


def week(number: int, agent: AgentReport) -> Picture:
    """Draw one agent's seven days, small."""
    rows = [(f"{day:%a} {day.day}", each.by_outcome) for day, each in zip(agent.days, agent.per_day, strict=True)]
    return _columns(f"week{number}", rows, SMALL_WIDTH, SMALL_HEIGHT, thinnest=1)


def durations(number: int, agent: AgentReport, whole_ms: int) -> Picture:
    """Draw how long one agent's runs took, from typical to slow, on a logarithmic scale that ends at `whole_ms`."""
    typical, slow = agent.week.typical_ms or 0, agent.week.slow_ms or 0
    start, end = (charts.place(ms, whole_ms) * RANGE_WIDTH / 100 for ms in (typical, slow))
    middle = RANGE_HEIGHT / 2
    boxes = [
        Box("line", 0, middle - 0.5, RANGE_WIDTH, 1),
        Box("done", start, middle - 2, end - start, 4),
        Box("mark", end - 1, middle - 5, 2, 10),
        Box("mark", start - 2, middle - 5, 4, 10),
    ]
    alt = f"half within {charts.duration(typical)}, 95 % within {charts.duration(slow)}"
    return Picture(f"range{number}", png.draw(RANGE_WIDTH, RANGE_HEIGHT, boxes), RANGE_WIDTH, RANGE_HEIGHT, alt)


def _columns(
    name: str, rows: Sequence[tuple[str, Mapping[str, int]]], width: int, height: int, thinnest: int = charts.MIN_HEIGHT
) -> Picture:
    columns = charts.stacked(rows, height - 1, thinnest)
    boxes = [Box("line", 0, height - 1, width, 1), *(box for column in columns for box in _boxes(column, width))]
    alt = "; ".join(column.description for column in columns)
    return Picture(name, png.draw(width, height, boxes), width, height, alt)


def _boxes(column: Column, width: int) -> list[Box]:
    x, wide = column.x * width / 100, column.width * width / 100
    return [Box(piece.kind, x, piece.y, wide, piece.height) for piece in column.pieces]
