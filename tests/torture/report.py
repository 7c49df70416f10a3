"""The table, for a terminal and as a page."""

from __future__ import annotations

from collections.abc import Sequence

from tests.torture.result import Result
from tests.torture.teeth import Bite

HEAD = (
    "fault", "what happens", "runs", "hits", "asked", "effects", "duplicates", "lost", "falsely done", "falsely free",
    "unknown", "held", "p50 s", "p99 s",
)  # fmt: skip


def row(result: Result) -> list[str]:
    """The cells of one result."""
    name = [result.scenario.fault, result.scenario.title]
    verdict = result.verdict
    if result.absent:
        return [*name, "not injected", *[""] * (len(HEAD) - 3)]
    if verdict is None:
        return [*name, "broke", *[""] * (len(HEAD) - 3)]
    numbers = [
        result.faults, result.hits, verdict.asked, verdict.effects, len(verdict.duplicates), len(verdict.lost),
        len(verdict.falsely_done), len(verdict.falsely_free), verdict.ended["unknown"], verdict.ended["held"],
    ]  # fmt: skip
    return [*name, *map(str, numbers), _seconds(result.recovery(50)), _seconds(result.recovery(99))]


def text(results: Sequence[Result]) -> str:
    """The table for a terminal."""
    rows = [list(HEAD), *map(row, results), total(results)]
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(HEAD))]
    return "\n".join("  ".join(_padded(cells, widths)).rstrip() for cells in rows)


def total(results: Sequence[Result]) -> list[str]:
    """The last row."""
    judged = [result.verdict for result in results if result.verdict]
    recoveries = Result(results[0].scenario, 0, recoveries=[one for result in results for one in result.recoveries])
    numbers = [
        sum(result.faults for result in results), sum(result.hits for result in results),
        sum(verdict.asked for verdict in judged), sum(verdict.effects for verdict in judged),
        sum(len(verdict.duplicates) for verdict in judged), sum(len(verdict.lost) for verdict in judged),
        sum(len(verdict.falsely_done) for verdict in judged), sum(len(verdict.falsely_free) for verdict in judged),
        sum(verdict.ended["unknown"] for verdict in judged), sum(verdict.ended["held"] for verdict in judged),
    ]  # fmt: skip
    return ["all", "", *map(str, numbers), _seconds(recoveries.recovery(50)), _seconds(recoveries.recovery(99))]


def line(result: Result) -> str:
    """One result as it comes, with what is wrong under it."""
    cells = ", ".join(
        f"{name} {cell}" for name, cell in zip(HEAD[2:], row(result)[2:], strict=True) if cell not in {"", "0"}
    )
    said = f"{'RED  ' if result.is_red else 'ok   '}{result.scenario.fault:4} {result.scenario.name:34} {result.seconds:5.0f} s  {cells}"
    if result.is_red:
        said += f"\n     {result.why}\n     {result.folder}"
    return said + (f": {result.absent}" if result.absent else "")


def bite(found: Bite) -> str:
    """One tooth as it comes."""
    last = found.results[-1]
    said = (
        f"{'red   ' if found.is_red else 'GREEN '}{found.tooth.name:36} at {last.scenario.fault:4} {last.scenario.name}"
    )
    return f"{said}: {last.why.splitlines()[0][:200]}" if found.is_red else said


def teeth(bites: Sequence[Bite]) -> str:
    """The summary of all teeth for a terminal."""
    green = [found.tooth.name for found in bites if not found.is_red]
    return f"{len(bites) - len(green)} of {len(bites)} teeth bite" + (
        f"; the suite stays green with {', '.join(green)}" if green else ""
    )


def _padded(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.ljust(width) if column < 2 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
