"""Write `docs/torture.md`: the table, the teeth, and how they were measured."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.harness import Valkey
from tests.torture import report
from tests.torture.result import Result
from tests.torture.teeth import Bite

PAGE = """# The torture suite

The suite kills, stops, cuts off, empties and fills real workers, a real server and a provider that keeps its own table.
Then it compares the provider's table with what Gatehouse says.

`make torture` wrote this page on {day}: {command}, {minutes} minutes, seed {seed}.
The same seed gives the same faults; the timing of what runs at the same time differs from run to run.
The machine had {cores} cores, {system}, Python {python} and {server}.

**{faults:,} faults, {hits:,} hits in the sending window, {duplicates} duplicates, {lost} lost, {falsely} falsely done.**
{bound}

## What the columns say

| column | means |
|---|---|
| runs | how often the fault was injected |
| hits | keys in their sending window when a fault fell: the effect or its request had begun, and no outcome was settled. The provider counts them from its open requests; where a worker was stopped between two steps, its own record counts |
| asked, effects | keys that were submitted, and rows in the provider's table |
| duplicates | keys with more than one row |
| lost | keys that were submitted and are missing, or had not reached a final state when the time was over |
| falsely done | keys that are `done` without a row |
| falsely free | keys that may run again although they have a row |
| unknown, held | keys that rightly wait for a person at the end: they cannot be looked up, or the call is poison |
| p50, p99 | seconds from the end of a fault until an affected key reached a final state |

A fault that cannot be injected on the machine is listed as such and not counted.
The test writes each key to its own file and syncs it before it submits the key.
Every attempt makes a different payload, and a key whose provider saw two of them turns its row red.
So does an effect that was not submitted, and every broken promise of the scenario itself.
{epilogue}

## The faults

{table}

{absent}
## Teeth

A suite that cannot go red proves nothing.
Each defence is removed from a copy of the source, and the scenarios run against the copy.

{teeth}

## What this does not show

- Nothing here cuts the power. A process cannot detect a disk that reports a write before it is durable.
- Look-ups lag by less than the drain time. A provider that denies an effect for longer gets a second one: give `drain` the time that your provider needs.
- `tests/unit/test_schedule.py` tests daylight saving and leap days, with simulated clocks.
- All processes were on one machine, and had one `STATE_DIR`. [Several hosts](hosts.md) are tried by tests of their own.
- No number of hits proves that there is no hole. `make model` runs every order of events in a small model instead.

## Run one

<!-- not run: takes minutes, and is run by CI -->

```console
$ .venv/bin/python -m tests.torture --only F5 --seed {seed}
$ .venv/bin/python -m tests.torture --only killed_in_flight --keep
$ .venv/bin/python -m tests.torture --teeth --only "no drain"
```

A red run keeps its folder and prints its path: the logs of every process, the journal, the provider's table, and the keys as Redis had them.
"""


@dataclass(frozen=True)
class Circumstances:
    """The conditions under which the figures were measured."""

    arguments: Sequence[str]
    seed: int
    seconds: float
    long: bool


def page(results: Sequence[Result], bites: Sequence[Bite], how: Circumstances) -> str:
    """Return the whole page."""
    sums = dict(zip(report.HEAD, report.total(results), strict=True))
    hits = int(sums["hits"])
    return PAGE.format(
        day=datetime.now(UTC).date(),
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
    """Return the rule of three for zero duplicates, or an empty string if it does not apply."""
    if int(sums["duplicates"]) or not hits:
        return ""
    share = 300 / hits
    return f"No duplicate in {hits:,} tries: the true rate is below {share:.2g} % with 95 % confidence (3/n)."


def _epilogue(how: Circumstances) -> str:
    if not how.long:
        return ""
    return (
        "At the end of each row Redis was emptied and rebuilt from the journal, and every key was submitted once more; "
        "the columns include that."
    )


def _table(results: Sequence[Result]) -> str:
    played = [report.row(result) for result in results if not result.absent]
    rows = [list(report.HEAD), ["---", "---", *["--:"] * (len(report.HEAD) - 2)], *played, report.total(results)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _absent(results: Sequence[Result]) -> str:
    lines = [f"- {one.scenario.fault}, {one.scenario.title}: {one.absent}." for one in results if one.absent]
    return "\n".join(["Not injected:", "", *lines, ""]) if lines else ""


def _teeth(bites: Sequence[Bite]) -> str:
    rows = ["| removed | what is different | red at | what was seen |", "|---|---|---|---|"]
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
