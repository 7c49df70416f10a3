"""The table of simulations: how busy each part is, and how long a call waits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import isnan

from bench.growth_simulation import KINDS, Outcome


def table(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Yield a line for each simulation, as soon as it is done; a wait is "grows" where calls come faster than they end."""
    head = "".join(f"{name:>9}" for name in KINDS)
    yield f"{'agents':>7}{'workers':>8}{'threads':>8}{'shards':>7}{'calls/s':>8}{head}{'p50':>9}{'p99':>9}"
    for found in outcomes:
        setup = found.setup
        busy = "".join(f"{found.busy[name]:>9.1%}" for name in KINDS)
        waits = "".join(f"{_ms(found.wait(percent)):>9}" for percent in (50, 99))
        sizes = f"{setup.agents:>7}{setup.cells * setup.workers:>8}{setup.threads:>8}{setup.shards:>7}"
        yield f"{sizes}{setup.rate:>8.2f}{busy}{waits}"


def _ms(seconds: float) -> str:
    return "grows" if isnan(seconds) else f"{1000 * seconds:.0f} ms"
