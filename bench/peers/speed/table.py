"""The tables of the bench of speed, in Markdown: medians over the rounds, and how they compare with Gatehouse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.peers.speed.round import Round, Rounds
from bench.peers.speed.side import Side

LEGEND = """\
Medians over the rounds, and the slowest and the fastest of them.
*Gatehouse / this* is the rate of Gatehouse (the first row) divided by that of the row: the median of the ratios within each turn.
Microseconds are processor time: of all processes of the workers, of the process that asks, and of the server."""


@dataclass(frozen=True)
class _Column:
    """A rate, and the processor time on both sides of it."""

    title: str
    costs: str
    rate: Callable[[Round], float]
    own: Callable[[Round], float]
    server: Callable[[Round], float]


TASKS = _Column("tasks/s", "worker, µs", lambda r: r.tasks_per_second, lambda r: r.worker, lambda r: r.server)
CALLS = _Column("calls/s", "caller, µs", lambda r: r.calls_per_second, lambda r: r.caller, lambda r: r.server_for_call)


class Table:
    """Made of the rounds of each side, of why the others were not run, and of the versions that were installed."""

    def __init__(self, rounds: Mapping[Side, Rounds], missing: Mapping[Side, str], versions: dict[str, str]) -> None:
        self._rounds, self._missing, self._versions = rounds, missing, versions

    def __str__(self) -> str:
        parts = [
            "Tasks that do nothing, from a queue that was filled before:",
            self._rates(TASKS),
            "Calls by one process, one after the other, while no worker runs:",
            self._rates(CALLS),
            LEGEND,
            self._configured(),
        ]
        return "\n\n".join(parts)

    def summary(self) -> str:
        """Return one table with the medians of both rates, for a page that tells the details elsewhere."""
        lines = [
            "| | tasks/s | Gatehouse / this | processor per task, µs | calls/s | Gatehouse / this |",
            "|---|---|---|---|---|---|",
        ]
        for side, rounds in self._rounds.items():
            ran = [each for each in rounds if each is not None]
            lines.append(f"| {side.title} | {self._summary_row(rounds, ran) if ran else self._missing[side]} |")
        return "\n".join(lines)

    def _summary_row(self, rounds: Rounds, ran: Sequence[Round]) -> str:
        cells = [
            f"{median(map(TASKS.rate, ran)):,.0f}",
            self._ratio(TASKS, rounds),
            f"{median(each.worker + each.server for each in ran):,.0f}",
            f"{median(map(CALLS.rate, ran)):,.0f}",
            self._ratio(CALLS, rounds),
        ]
        return " | ".join(cells)

    def _rates(self, column: _Column) -> str:
        lines = [
            f"| | {column.title} | slowest to fastest | Gatehouse / this | {column.costs} | server, µs |",
            "|---|---|---|---|---|---|",
        ]
        for side, rounds in self._rounds.items():
            ran = [each for each in rounds if each is not None]
            lines.append(f"| {side.title} | {self._row(column, rounds, ran) if ran else self._missing[side]} |")
        return "\n".join(lines)

    def _row(self, column: _Column, rounds: Rounds, ran: Sequence[Round]) -> str:
        rates = [column.rate(each) for each in ran]
        cells = [
            f"{median(rates):,.0f}",
            f"{min(rates):,.0f} to {max(rates):,.0f}",
            self._ratio(column, rounds),
            f"{median(map(column.own, ran)):,.0f}",
            f"{median(map(column.server, ran)):,.0f}",
        ]
        return " | ".join(cells)

    def _ratio(self, column: _Column, rounds: Rounds) -> str:
        """Return the rate of Gatehouse divided by this one: rounds of one turn share the noise of the machine."""
        ours = next(iter(self._rounds.values()))
        pairs = [(own, its) for own, its in zip(ours, rounds, strict=True) if own is not None and its is not None]
        if rounds is ours or not pairs:
            return ""
        return f"{median(column.rate(own) / column.rate(its) for own, its in pairs):.2f}"

    def _configured(self) -> str:
        lines = ["| configured | version | given |", "|---|---|---|"]
        return "\n".join(
            lines + [f"| {side.title} | {side.version(self._versions)} | {side.note} |" for side in self._rounds]
        )
