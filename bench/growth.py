"""`python -m bench.growth`: how the figures grow with keys, journal entries, tasks at once and calls of one key, as plots."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from pygal.style import CleanStyle

import settings
from bench import recover
from bench.agents import noop
from bench.charts import line_chart
from bench.environment import BenchEnvironment
from bench.latency import Stopwatch, latencies
from bench.sides import EFFECT, GATE, PLAIN
from bench.success import beginning, result
from bench.throughput import Work, one_round
from state.journal.journal import Journal
from state.ledger import Ledger
from state.model import Call, Claim

#: Calls that are timed for each point, and tasks of each round.
CALLS, TASKS = 2000, 2000
KEYS = (1_000, 10_000, 100_000, 1_000_000)
ENTRIES = (3_000, 30_000, 300_000)
AT_ONCE = (1, 2, 4, 8)
CALLS_OF_ONE_KEY = (1, 10, 100, 1_000)
#: Calls of one key that are timed for each point.
REPEATS = 30


@dataclass(frozen=True)
class Plot:
    """One figure in its dependence on a number: a series for each name."""

    name: str
    title: str
    x: str
    numbers: Sequence[int]
    series: Mapping[str, Sequence[float]]

    def write(self, folder: Path) -> None:
        """Write it as SVG, without script and without a font from elsewhere."""
        top = max(max(each) for each in self.series.values()) * 1.05
        style = CleanStyle(font_family="sans-serif")
        chart = line_chart(self.title, self.x, self.numbers, style=style, width=720, height=360, range=(0, top))
        for name, values in self.series.items():
            chart.add(name, [round(value, 1) for value in values])
        (folder / f"{self.name}.svg").write_text(chart.render(is_unicode=True) + "\n")

    def __str__(self) -> str:
        rows = [f"{self.title}\n{self.x:>24}" + "".join(f"{number:>12,}" for number in self.numbers)]
        rows += [f"{name:>24}" + "".join(f"{value:12,.1f}" for value in values) for name, values in self.series.items()]
        return "\n".join(rows)


def by_keys() -> Plot:
    """Time the scripts of a call with so many done keys in Redis."""
    found: dict[str, list[float]] = {}
    with BenchEnvironment() as environment:
        for keys in KEYS:
            for name, taken in latencies(environment.redis, CALLS, keys).items():
                found.setdefault(name, []).append(median(taken))
    return Plot("keys", "µs for one script, median", "done keys in Redis", KEYS, found)


def by_entries() -> Plot:
    """Time a recovery of journals with so many entries."""
    taken = [recover.measure(entries).seconds for entries in ENTRIES]
    return Plot("entries", "seconds to recover", "entries of the journal", ENTRIES, {"recover": taken})


def by_tasks_at_once() -> Plot:
    """Measure the throughput of workers with so many processes."""
    found: dict[str, list[float]] = {}
    with BenchEnvironment() as environment:
        for processes in AT_ONCE:
            for side in (PLAIN, GATE, EFFECT):
                rate = one_round(environment, side, Work(TASKS, TASKS // 5, "prefork", processes)).rate
                found.setdefault(side.name, []).append(rate)
    return Plot("concurrency", "tasks a second", "processes of the worker", AT_ONCE, found)


def by_calls_of_one_key() -> Plot:
    """Time one more call of a key that is done, registered and answered, after so many calls of it."""
    found = []
    with BenchEnvironment() as environment:
        ledger = Ledger(environment.redis, Journal(environment.settings.journal_dir))
        _do(ledger)
        made = 0
        for before in CALLS_OF_ONE_KEY:
            for number in range(made, before):
                _repeat(ledger, number)
            made = max(made, before) + REPEATS
            watch = Stopwatch()
            for number in range(made - REPEATS, made):
                watch.time("one more call", _repeat, ledger, number)
            found.append(median(watch.taken["one more call"]))
    return Plot("history", "µs, median", "calls of one key before", CALLS_OF_ONE_KEY, {"one more call": found})


def _do(ledger: Ledger) -> None:
    """Bring the first call of the key to its end."""
    gate, payload = noop.effect.spec, '"x"'
    call, limits = _call("first"), gate.limits({"n": 0})
    ledger.register(call)
    claim = ledger.admit(call, limits)
    if not isinstance(claim, Claim):
        raise TypeError(f"the first call was not admitted: {claim}")
    ledger.begin_effect(call, claim, limits, payload, beginning(claim, payload))
    ledger.settle(call, claim, limits, result(claim, gate, payload))


def _repeat(ledger: Ledger, number: int) -> None:
    """Make one more call of the key, whose answer is the result of the first."""
    call = _call(f"call-{number}")
    ledger.register(call)
    ledger.admit(call, noop.effect.spec.limits({"n": 0}))


def _call(name: str) -> Call:
    return noop.effect.spec.call_with({"n": 0}, id=name, origin="bench")


PLOTS: dict[str, Callable[[], Plot]] = {
    "keys": by_keys,
    "entries": by_entries,
    "concurrency": by_tasks_at_once,
    "history": by_calls_of_one_key,
}


def main() -> None:
    """Measure what was asked for, print it, and write the plots if a folder is named."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument(
        "plots", nargs="*", choices=[*PLOTS, []], default=[], help=f"by default all: {', '.join(PLOTS)}"
    )
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write an SVG for each, such as into docs/growth")
    asked = parser.parse_args()
    for name in asked.plots or PLOTS:
        plot = PLOTS[name]()
        print(plot, flush=True)
        if asked.write:
            (settings.ROOT / asked.write).mkdir(exist_ok=True)
            plot.write(settings.ROOT / asked.write)


if __name__ == "__main__":
    main()
