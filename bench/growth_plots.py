"""The plots of docs/scale.md: how busy each part is, and how long a call waits, as agents become more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isnan
from pathlib import Path

import pygal

from bench.charts import line_chart
from bench.growth_simulation import Model, Outcome, Setup
from bench.growth_table import table
from bench.growth_ways import AGENTS, CELL, cells, one_cell


def write(folder: Path, setup: Setup) -> None:
    """Simulate both ways to grow, print the figures, and write two plots for each."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, title, way in (
        ("one-cell", "Each worker has all agents", one_cell),
        ("cells", f"Each worker has {CELL} agents at most", cells),
    ):
        outcomes = _outcomes(setup, way)
        print(title)
        print("\n".join(table(outcomes)), flush=True)
        _busy(outcomes, title).render_to_file(str(folder / f"scale-{name}-busy.svg"))
        _waits(outcomes, title).render_to_file(str(folder / f"scale-{name}-waits.svg"))


def _outcomes(setup: Setup, way: Callable[[Setup, int], Setup]) -> list[Outcome]:
    return [Model(way(setup, agents)).run() for agents in AGENTS]


def _busy(outcomes: Sequence[Outcome], title: str) -> pygal.Line:
    chart = _chart(f"{title}: how busy the busiest of each part is, in %", outcomes)
    for name in outcomes[0].busy:
        chart.add(name, [round(100 * each.busy[name], 1) for each in outcomes])
    return chart


def _waits(outcomes: Sequence[Outcome], title: str) -> pygal.Line:
    chart = _chart(f"{title}: what the gate adds to a call, in ms", outcomes)
    for percent in (50, 99):
        waits = [each.wait(percent) for each in outcomes]
        chart.add(f"p{percent}", [None if isnan(wait) else round(1000 * wait, 1) for wait in waits])
    return chart


def _chart(title: str, outcomes: Sequence[Outcome]) -> pygal.Line:
    return line_chart(title, "agents", [each.setup.agents for each in outcomes])
