"""`python -m bench.guard`: fail if the gate's own processor time grew by more than a quarter.

Both sides take turns in one process, a few calls each, so that both run on the same machine at the same moment: a gated
call with the message of a registered one, and for comparison a plain Celery task that runs in this process and asks the
server twice. The figure is the ratio of their processor times. `--record` writes it down as the one to compare with.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from itertools import count, islice
from pathlib import Path
from statistics import median
from typing import Any

import settings
from bench.environment import BenchEnvironment
from gatekeeper import logs
from gatekeeper.policies.spec import find
from gatekeeper.run import pipeline
from gatekeeper.run.arrival import MESSAGE, Arrival
from state.ledger import Ledger

RECORDED = Path(__file__).with_name("guard.json")
#: How much more than the recorded ratio is allowed.
MOST = 1.25
#: How often a ratio that is too large is measured again: other work on the machine makes it a fifth larger.
AGAIN = 2
#: Turns of each side, and calls in each turn: some milliseconds.
TURNS, CALLS, WARM_UP = 200, 10, 20
TASKS = {"repeat-safe": "bench.agents.noop.nothing", "effect": "bench.agents.noop.effect"}


def main() -> None:
    """Measure each kind of task, print it beside the recorded ratio, and exit with 1 if one is too large."""
    asked = _arguments()
    if asked.measure:
        print(json.dumps(_measure(asked.measure)))
        return
    found = {name: _in_own_process(task) for name, task in TASKS.items()}
    if asked.record:
        RECORDED.write_text(json.dumps(found, indent=2) + "\n")
    recorded = json.loads(RECORDED.read_text())
    for _ in range(AGAIN):
        for name in (name for name in TASKS if found[name] > MOST * recorded[name]):
            found[name] = min(found[name], _in_own_process(TASKS[name]))
    grown = [name for name in TASKS if found[name] > MOST * recorded[name]]
    for name in TASKS:
        print(f"{name:12} {found[name]:.2f} times a plain task and two PINGs; recorded: {recorded[name]:.2f}")
    if grown:
        sys.exit(
            f"The gate's processor time grew by more than {MOST - 1:.0%} for: {', '.join(grown)}. Find what costs it "
            f"(python -m bench --only prefork), or run python -m bench.guard --record and say why in the commit."
        )


def _in_own_process(task: str) -> float:
    with BenchEnvironment() as environment:
        command = [sys.executable, "-m", "bench.guard", "--measure", task]
        done = subprocess.run(
            command, cwd=settings.ROOT, env=environment.env, check=True, capture_output=True, text=True
        )
    return float(done.stdout)


def _measure(task: str) -> float:
    """Return the median ratio of the processor times of both sides' turns."""
    import_module("workers").app.loader.import_default_modules()
    plain: Any = import_module("bench.plain").app.tasks["plain.nothing"]
    spec, ledger, numbers = find(task), Ledger(), count()

    def gated() -> float:
        turn = [(n, f"call-{n}") for n in islice(numbers, CALLS)]
        for n, call in turn:
            ledger.register(spec.call((), {"n": n}, id=call, origin="bench"))
        began = time.process_time()
        for n, call in turn:
            arrival = Arrival.of_message((), {"n": n}, None)
            pipeline.run(spec, (), {"n": n}, call_id=call, origin=MESSAGE, arrival=arrival)
        return time.process_time() - began

    def compared() -> float:
        began = time.process_time()
        for n in range(CALLS):
            plain.apply((n,))
            ledger.redis.ping()
            ledger.redis.ping()
        return time.process_time() - began

    logs.configure()
    with _no_output():
        turns = [gated() / compared() for _ in range(TURNS + WARM_UP)]
    return median(turns[WARM_UP:])


@contextlib.contextmanager
def _no_output() -> Iterator[None]:
    """Send the log lines, whose making is measured, nowhere."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.guard", description=__doc__)
    parser.add_argument("--record", action="store_true", help="write the ratios down as those to compare with")
    parser.add_argument("--measure", metavar="TASK", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
