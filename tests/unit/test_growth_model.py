"""The simulation of docs/scale.md agrees with arithmetic where there is some, and with the page that shows its figures."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from bench.growth_simulation import Model, Setup
from bench.growth_table import table
from bench.growth_ways import AGENTS, cells, one_cell
from settings import ROOT

#: A ledger that is busy with calls alone, and threads enough.
BUSY = Setup(agents=1000, calls_per_day=10_000, peak=1, sweep_us=0, sweep_worker_us=0, threads=1000, seconds=20)


def test_the_ledger_is_as_busy_as_its_calls_make_it() -> None:
    found = Model(BUSY).run()

    expected = BUSY.rate * (0.7 * BUSY.ledger_us + 0.3 * BUSY.effect_us) / 1e6
    assert found.busy["ledger"] == pytest.approx(expected, rel=0.15)
    assert found.wait(50) > 0


def test_the_sweeps_take_what_they_cost_twice_a_second_in_each_worker() -> None:
    idle = replace(BUSY, calls_per_day=500, sweep_us=10, sweep_worker_us=20, workers=3)

    found = Model(idle).run()

    assert found.busy["ledger"] == pytest.approx(3 * 2 * 1000 * 10e-6, rel=0.15)
    assert found.busy["loop"] == pytest.approx(2 * 1000 * 20e-6, rel=0.15)


def test_agents_on_two_ledgers_make_each_half_as_busy() -> None:
    swept = replace(BUSY, sweep_us=20)
    one, two = Model(swept).run(), Model(replace(swept, shards=2)).run()

    assert two.busy["ledger"] == pytest.approx(one.busy["ledger"] / 2, rel=0.15)


def test_too_few_threads_let_the_waits_grow() -> None:
    enough, few = Model(replace(BUSY, task_seconds=1)).run(), Model(replace(BUSY, task_seconds=1, threads=40)).run()

    assert few.busy["threads"] > 0.95
    assert not few.waits or few.wait(50) > 10 * enough.wait(50)


def test_the_page_shows_what_the_command_prints() -> None:
    """One line of each table; all of them take seconds."""
    page = (ROOT / "docs" / "scale.md").read_text()

    for way in (one_cell, cells):
        *_, line = table([Model(way(Setup(), 1000)).run()])
        assert line in page, f"run python -m bench.growth_model --plots docs/scale, and paste its figures:\n{line}"
    assert len(re.findall(r"^ +\d+ .* ms$", page, re.MULTILINE)) == 2 * len(AGENTS)
