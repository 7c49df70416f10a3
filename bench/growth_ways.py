"""The two ways to grow that docs/scale.md compares: each worker has all agents, or some of them."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from bench.growth_simulation import Setup

AGENTS = (10, 100, 1_000, 2_000, 5_000, 10_000, 20_000)
#: Where agents are divided: those of one cell, and those of one ledger.
CELL, LEDGER = 1_000, 10_000
#: The share of the threads that is in use at most: a thread that waits costs only memory, so there are enough.
THREADS_IN_USE = 0.6


def one_cell(setup: Setup, agents: int) -> Setup:
    """Return a setup in which each worker has all agents."""
    return _with_threads(replace(setup, agents=agents))


def cells(setup: Setup, agents: int) -> Setup:
    """Return a setup in which each worker has CELL agents at most."""
    return _with_threads(replace(setup, agents=agents, cells=-(-agents // CELL), shards=-(-agents // LEDGER)))


def _with_threads(setup: Setup) -> Setup:
    needed = setup.rate * setup.task_seconds / THREADS_IN_USE / setup.cells / setup.workers
    return replace(setup, threads=max(setup.threads, ceil(needed)))
