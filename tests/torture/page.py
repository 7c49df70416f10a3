"""`docs/torture.md`: the table, the teeth, and what they stand on."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from tests.harness import Valkey
from tests.torture import report
from tests.torture.result import Result
from tests.torture.teeth import Bite

PAGE = """# Torture

Real workers, a real server, and a provider that keeps its own books are killed, stopped, cut off, emptied and filled.
Then the provider's table is held against what Gatehouse says.

`make torture` made this page: {command}, {minutes} minutes, seed {seed}.
The same seed plays the same faults; what runs beside each other in time differs from run to run.
The machine had {cores} cores, {system}, Python {python} and {server}.

**{faults:,} faults, {hits:,} hits in the sending window, {duplicates} duplicates, {lost} lost, {falsely} falsely done.**
{bound}

## What the columns say

| column | means |
|---|---|
| runs | how often the fault was injected |
| hits | keys that were in their sending window when a fault fell: the line was crossed or the request had begun, and no outcome was settled. Counted by the provider from its open requests, and by the worker's own note where it was held between two steps |
| asked, effects | keys that were asked for, and rows in the provider's table |
| duplicates | keys with more than one row |
| lost | keys that were asked for and are gone, or had not come to rest when the time was over |
| falsely done | keys that are `done` without a row |
| falsely free | keys that may run again although they have a row |
| unknown, held | keys that wait for a person at the end, as they should: nobody can look them up, or the call is poison |
| p50, p99 | seconds from the end of a fault until a key that it hurt came to rest |

A fault that cannot be injected on the machine is told as such and counts for nothing.
A key is asked for only after it was written down and synced by who asks.
Every payload has another text at each attempt, and a key whose provider saw two different ones makes its row red.
So does an effect that nobody asked for, and every broken promise of a scenario's own.
{epilogue}

## The faults

{table}

{absent}
## Teeth

A suite that cannot go red proves nothing.
Each defence is taken out of a copy of the source, and the scenarios are played against the copy.

{teeth}

## What this does not show

- Nothing here cuts the power. A disk that says it has written and has not is beyond a process that can only ask.
- Look-ups of the provider may lag by less than the drain time. One that denies an effect for longer than that makes a second one: give `drain` the time that your provider needs.
- Daylight saving and leap days are tried in `tests/unit/test_schedule.py`, with clocks of their own.
- All processes were on one machine. The journal is a file, and a second machine that does not share it is a second installation.
- No number of hits proves that there is no hole. `make model` tries every order of events in a small world instead.

## Play one

```console
$ .venv/bin/python -m tests.torture --only F5 --seed {seed}
$ .venv/bin/python -m tests.torture --only killed_in_flight --keep
$ .venv/bin/python -m tests.torture --teeth --only "no drain"
```

A red run keeps its folder and prints it: the logs of every process, the journal, the provider's table, and what Redis knew of the keys.
"""


@dataclass(frozen=True)
class Circumstances:
    """Under which the figures came about."""

    arguments: Sequence[str]
    seed: int
    seconds: float
    long: bool


def page(results: Sequence[Result], bites: Sequence[Bite], how: Circumstances) -> str:
    """The whole page."""
    sums = dict(zip(report.HEAD, report.total(results), strict=True))
    hits = int(sums["hits"])
    return PAGE.format(
        command=f"`python -m tests.torture {shlex.join(how.arguments)}`",
        minutes=round(how.seconds / 60),
        seed=how.seed,
        cores=os.cpu_count(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        server=_server(),
        faults=int(sums["runs"]),
        hits=hits,
        duplicates=sums["duplicates"],
        lost=sums["lost"],
        falsely=sums["falsely done"],
        bound=_bound(hits, sums),
        epilogue=_epilogue(how),
        table=_table(results),
        absent=_absent(results),
        teeth=_teeth(bites),
    )


def _bound(hits: int, sums: dict[str, str]) -> str:
    """The rule of three, where it may be used."""
    if int(sums["duplicates"]) or not hits:
        return ""
    share = 300 / hits
    return f"No duplicate in {hits:,} tries: the true rate is below {share:.2g} % with 95 % confidence (3/n)."


def _epilogue(how: Circumstances) -> str:
    if not how.long:
        return ""
    return (
        "At the end of each row Redis was emptied and rebuilt from the journal, and every key was asked for once more; "
        "that is in the columns too."
    )


def _table(results: Sequence[Result]) -> str:
    played = [report.row(result) for result in results if not result.absent]
    rows = [list(report.HEAD), ["---", "---", *["--:"] * (len(report.HEAD) - 2)], *played, report.total(results)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _absent(results: Sequence[Result]) -> str:
    lines = [f"- {one.scenario.fault}, {one.scenario.title}: {one.absent}." for one in results if one.absent]
    return "\n".join(["Not injected:", "", *lines, ""]) if lines else ""


def _teeth(bites: Sequence[Bite]) -> str:
    rows = ["| taken out | what is different | red at | what was seen |", "|---|---|---|---|"]
    for bite in bites:
        last = bite.results[-1]
        seen = (
            ", ".join(f"{len(keys)} {promise}" for promise, keys in last.verdict.broken.items()) if last.verdict else ""
        )
        where = f"{last.scenario.fault}, {last.scenario.title}" if bite.is_red else "**nowhere**"
        rows.append(f"| {bite.tooth.name} | {bite.tooth.without} | {where} | {seen or 'it could not go on'} |")
    return "\n".join(rows)


def _server() -> str:
    server = Valkey().start()
    try:
        about = server.client().info("server")
        return f"{about.get('server_name', 'redis')} {about.get('valkey_version') or about['redis_version']}"
    finally:
        server.close()
