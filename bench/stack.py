"""`python -m bench.stack`: the figures of the whole system, each in a folder and on ports of its own, on loopback only."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles

from bench import deliveries, model_calls, ticks
from bench.agents.stack import FIRST_LINES
from bench.deliveries import Deliveries
from bench.make_up import MakeUp
from bench.parts import Parts, Web

#: Seconds until the first posts are out, and for which the system at rest is measured.
SETTLE, REST = 12.0, 30.0
#: Deliveries: threads of the worker as in the Procfile, and how many a second, for so many seconds.
THREADS, ACCEPT_RATE, ACCEPT_SECONDS, BEGIN_RATE, BEGIN_SECONDS = 8, 200.0, 5, 30.0, 5
ENTRIES, FEW_MINUTES = 1000, 1
MODEL_CALLS, MODEL_SECONDS = 200, 1.0
#: Numbers of workers that share the threads for the model calls; they take turns.
MODEL_WORKERS = (1, 2)


@dataclass(frozen=True)
class Figure:
    """One line of the table; `values` are those of the runs."""

    name: str
    unit: str
    values: list[float]

    def __str__(self) -> str:
        runs = " ".join(f"{value:.4g}" for value in self.values)
        return f"{self.name:56}{median(self.values):9.4g} {self.unit:5} {runs}"


def main() -> None:
    """Measure what is asked for, and print each figure as soon as it is known."""
    parser = argparse.ArgumentParser(prog="python -m bench.stack", description=__doc__)
    parser.add_argument("part", nargs="*", choices=[[], *PARTS], help="default: all")
    parser.add_argument("--runs", type=int, default=3, help="of the parts that take seconds (default 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    asked = parser.parse_args()
    began, figures = time.monotonic(), []
    for part in asked.part or PARTS:
        for figure in PARTS[part](asked.runs):
            print(figure, flush=True)
            figures.append(figure)
    load = os.getloadavg()
    print(f"{time.monotonic() - began:.0f} s; load average at the end {load[0]:.1f} {load[1]:.1f} {load[2]:.1f}")
    if asked.json:
        asked.json.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")


def start(runs: int) -> Iterator[Figure]:
    """Measure how long `make up` takes until `/readyz` answers 200."""
    seconds = [_start_once() for _ in range(runs)]
    yield Figure("make up → /readyz", "s", [wall for wall, _ in seconds])
    yield Figure("make up → /readyz, processor time", "s", [used for _, used in seconds])


def _start_once() -> tuple[float, float]:
    with MakeUp() as up:
        return up.ready()


def rest(_runs: int) -> Iterator[Figure]:
    """Measure memory and processor time of the system at rest."""
    with MakeUp() as up:
        up.ready()
        found = up.rest(SETTLE, REST)
    yield Figure("at rest, PSS", "MB", [sum(found.megabytes.values())])
    for name, megabytes in found.megabytes.items():
        yield Figure(f"  {name}", "MB", [megabytes])
    yield Figure("at rest, processor", "%", [sum(found.percent.values())])
    for name, percent in found.percent.items():
        yield Figure(f"  {name}", "%", [percent])


def hooks(runs: int) -> Iterator[Figure]:
    """Measure how long a delivery waits for its acceptance, and how soon its task begins."""
    with (
        Parts({"webhook_routes": deliveries.TABLE}, {"WEBHOOK_SECRET_BENCH": deliveries.SECRET}) as parts,
        parts.celery_worker(THREADS),
        parts.web() as web,
    ):
        many, few = _Load(parts, web, ACCEPT_RATE, ACCEPT_SECONDS), _Load(parts, web, BEGIN_RATE, BEGIN_SECONDS)
        many.once(), few.once()  # connections, threads and the worker's first tasks
        at_many = [many.once() for _ in range(runs)]
        time.sleep(2)  # the worker works off what is left
        at_few = [few.once() for _ in range(runs)]
    yield Figure("webhooks not accepted, the store answered too late", "", [len(each.refused) for each, _ in at_many])
    yield Figure(
        f"webhook at {ACCEPT_RATE:g}/s, due → 202, p50", "ms", [1000 * median(each.seconds) for each, _ in at_many]
    )
    yield Figure(f"webhook at {ACCEPT_RATE:g}/s, due → 202, p99", "ms", [_p99_ms(each.seconds) for each, _ in at_many])
    yield Figure(
        f"webhook at {BEGIN_RATE:g}/s, 202 → first line, p50", "ms", [1000 * median(first) for _, first in at_few]
    )
    yield Figure(f"webhook at {BEGIN_RATE:g}/s, 202 → first line, p99", "ms", [_p99_ms(first) for _, first in at_few])


class _Load:
    """Deliveries at one rate, with fresh numbers in each run."""

    _next = 0

    def __init__(self, parts: Parts, web: Web, rate: float, seconds: int) -> None:
        self._parts, self._web, self._rate, self._count = parts, web, rate, round(rate * seconds)

    def once(self) -> tuple[Deliveries, list[float]]:
        """Send them; return what was answered, and the seconds from each answer to the first line of its task."""
        sent = Deliveries(self._web.port)
        first = _Load._next
        _Load._next += self._count
        sent.send(first, self._count, self._rate)
        return sent, [begun - sent.accepted[number] for number, begun in self._begun(sent)]

    def _begun(self, sent: Deliveries) -> list[tuple[int, float]]:
        path = self._parts.settings.state_dir / FIRST_LINES
        deadline = time.monotonic() + 30
        while True:
            lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
            found = [(int(number), float(at)) for number, at in lines if int(number) in sent.accepted]
            if len(found) == len(sent.accepted):
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{len(sent.accepted) - len(found)} deliveries never ran; {self._parts.log('worker')}"
                )
            time.sleep(0.1)


def schedule(_runs: int) -> Iterator[Figure]:
    """Measure the ticks of many entries, spread over the hour and all in the same minute."""
    for name, table, minutes in (("hourly, spread", ticks.spread, 2), ("each minute, all at once", ticks.at_once, 1)):
        found = ticks.run(table(ENTRIES), minutes)
        yield Figure(f"ticks of {ENTRIES} entries, {name}: late, p50", "ms", [1000 * median(found.seconds)])
        yield Figure(f"ticks of {ENTRIES} entries, {name}: late, p99", "ms", [_p99_ms(found.seconds)])
        yield Figure(f"ticks of {ENTRIES} entries, {name}: beat", "%", [found.percent])


def models(runs: int) -> Iterator[Figure]:
    """Measure calls of a model that run at once."""
    times: dict[int, list[float]] = {workers: [] for workers in MODEL_WORKERS}
    for _ in range(runs):
        for workers, found in times.items():
            found.append(model_calls.against_ideal(MODEL_CALLS, MODEL_SECONDS, workers))
    for workers, found in times.items():
        name = f"{MODEL_CALLS} model calls of {MODEL_SECONDS:g} s, {workers} workers, against the ideal"
        yield Figure(name.replace("1 workers", "1 worker"), "x", found)


def _p99_ms(seconds: list[float]) -> float:
    return 1000 * quantiles(seconds, n=100, method="inclusive")[98]


PARTS: dict[str, Callable[[int], Iterator[Figure]]] = {
    "start": start,
    "rest": rest,
    "hooks": hooks,
    "schedule": schedule,
    "models": models,
}

if __name__ == "__main__":
    main()
