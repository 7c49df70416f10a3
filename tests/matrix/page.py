"""Write `docs/matrix.md`: the table, and how it was measured."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime

from tests.matrix import faults
from tests.matrix.result import Result, table

PAGE = """# The matrix

Each broker that Gatehouse supports runs with each ledger and each journal, on real servers.
Each combination has servers, a `STATE_DIR` and a worker of its own, and a separate server counts the effects in its own table.

`make matrix` wrote this page on {day}: {command}, {minutes} minutes.
The machine had {cores} cores, {system}, Python {python} and {versions}.

**{combinations} combinations, {kills} kills, {asked:,} effects asked for, {twice} twice, {lost} lost.**

{table}

{absent}## What the columns say

| column | means |
|---|---|
| broker | the server in `BROKER_URL`; where it is of the same kind as the ledger, one server is both |
| ledger | the server in `REDIS_URL` |
| journal | `JOURNAL_URL`: none, or a PostgreSQL server |
| accepted | of six checks, how many hold: a call runs once; an effect happens once, and its second call is replayed; a delayed call waits; of four calls with a rate of three one is refused; `gatehouse explain` tells the story; `gatehouse doctor` has no complaint |
| asked, effects | keys that were submitted while servers were killed, and rows in the table of the judge |
| twice | keys with more than one row |
| lost | keys that are missing, never came to rest, or are `done` without a row |
| in doubt | keys that wait for a person at the end; `gatehouse held` lists each |
| recovered | how often effects were closed until `gatehouse recover`, because a new primary lacked what the old one had answered |
| worker, broker, ledger, database | seconds from SIGKILL until an effect happened that was submitted after it; they include the start of the server, or the failover, and are longer on a busy machine |

Before each kill {before} effects are submitted, and the server is killed when the judge has begun with one of them; {before} more follow.
A third of them cannot be looked up.
One of these that was in flight when its worker died is in doubt, as it has to be.
Another third has two steps, with a checkpoint between them, which cannot be written while the database is away.

A killed server starts again at once with its data.
With Sentinel the primary is killed, the sentinels name the replica, and the old primary comes back behind it.
The replica has what was accepted before the kill; [Brokers](brokers.md#redis-with-sentinel) says what happens to what it has not.

`gatehouse doctor` also asks for `min-replicas-to-write` on the servers behind sentinels.
It would stop everything here, where only two servers exist, so this advice does not count.

## What this does not show

- All processes were on one machine, and one worker ran at a time. [Several hosts](hosts.md) are tried by tests of their own.
- Each broker and database was a single node. `tests/shared_journal/` promotes a standby.
- RabbitMQ and Redis are killed here. [Brokers](brokers.md) tells of a server that is silent.
- [The torture suite](torture.md) has many more faults, on one combination.

## Run it

<!-- not run: takes minutes, and is run by CI -->

```console
$ make matrix
$ make matrix-short
$ .venv/bin/python -m tests.matrix --only "RabbitMQ × Redis × files" --keep
```

The short form kills one thing for each combination, in turn, and is what CI runs.
A combination whose server is not installed is listed as not run, and fails in CI.
"""


def page(results: Sequence[Result], arguments: Sequence[str], seconds: float) -> str:
    """Return the whole page."""
    judged = [result.verdict for result in results if result.verdict]
    return PAGE.format(
        day=datetime.now(UTC).date(),
        command=f"`python -m tests.matrix {shlex.join(arguments)}`",
        minutes=round(seconds / 60),
        cores=os.cpu_count(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions=", ".join(sorted(set().union(*(result.versions for result in results)))),
        combinations=len(judged),
        kills=sum(len(result.seconds) for result in results),
        asked=sum(verdict.asked for verdict in judged),
        twice=sum(len(verdict.duplicates) for verdict in judged),
        lost=sum(result.lost for result in results),
        table=table(results),
        absent=_absent(results),
        before=len(faults.KINDS) * faults.OF_EACH_KIND,
    )


def _absent(results: Sequence[Result]) -> str:
    lines = [f"- {result.combination.name}: {result.absent}." for result in results if result.absent]
    return "\n".join(["Not run:", "", *lines, "", ""]) if lines else ""
