"""Conducts a drill: `python -m workers.drill.runner '{"folder", "task", "within"}'`, in the environment of the drill's place.

Prints one line of JSON per fault: {"fault", "effects", "state", "ok", "seconds", "how"}; or {"failed": why}.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from gatekeeper.redact import clean, describe
from workers.drill import stage, stub_tasks
from workers.drill.account import Account
from workers.drill.destination import Destination
from workers.drill.faults import FAULTS, Fault
from workers.drill.parent_watch import end_with_parent
from workers.drill.sandbox import Sandbox
from workers.drill.scenario import NotDrilled, Scenario
from workers.drill.worker_pool import WorkerEnded, WorkerPool

WORKERS = 2
#: The share of the whole time after which what is not over counts as not drilled: the rest is for the last lines.
IN_ALL = 0.9
#: The share for one fault: of a minute, three times what the slowest takes.
EACH = 1 / 3


class Runner:
    """The faults, one after the other, on workers that serve all of them."""

    def __init__(self, place: Sandbox, task: str | None, within: float) -> None:
        self._place, self._task, self._within = place, task, within
        self._agents = [f"{place.name}-{number}" for number, _ in enumerate(FAULTS)]
        self._accounts = {agent: Account() for agent in self._agents}
        self._end = time.monotonic() + IN_ALL * within
        self._crew: WorkerPool | None = None

    def conduct(self) -> Iterator[dict[str, Any]]:
        """The line of each fault, as soon as it is over."""
        app = stage.move_to(self._place.name)
        tasks = stub_tasks.take_the_stage(self._agents, self._task)
        with Destination(self._accounts) as destination:
            order = {"name": self._place.name, "agents": self._agents, "task": self._task, "url": destination.url}
            with closing(WorkerPool(self._place.folder, order, WORKERS)) as crew:
                self._crew = crew
                benches = [Scenario(app, task, self._accounts[task.gate.agent], crew, self._end) for task in tasks]
                yield from self._run(benches, crew)

    def close(self) -> None:
        """End the workers."""
        if self._crew:
            self._crew.close()

    def _run(self, benches: list[Scenario], crew: WorkerPool) -> Iterator[dict[str, Any]]:
        (slow, beside), *others = zip(FAULTS, benches, strict=True)
        beside.until(crew.is_ready, "the workers of the drill")
        with ThreadPoolExecutor(1) as pool:
            told_last = pool.submit(_drill, slow, beside)
            try:
                for fault, bench in others:
                    bench.deadline = min(self._end, time.monotonic() + EACH * self._within)
                    yield _drill(fault, bench, crew.is_ready, stage.is_quiet)
                yield told_last.result()
            finally:
                beside.deadline = 0.0


def _always() -> bool:
    return True


def _drill(
    fault: Fault, bench: Scenario, is_ready: Callable[[], bool] = _always, is_quiet: Callable[[], bool] = _always
) -> dict[str, Any]:
    """Do the harm, wait until the key has ended and no message is left that could change that, and count."""
    began, problem = time.monotonic(), ""
    try:
        bench.until(is_ready, "the workers of the drill")
        began = time.monotonic()
        fault.harm(bench)
        bench.until_state(*fault.ends(bench))
        bench.until(is_quiet, "the last message to be taken")
    except NotDrilled as error:
        problem = str(error)
    effects, seconds = len(bench.account.effects), round(time.monotonic() - began, 1)
    row = {"fault": fault.name, "effects": effects, "state": bench.state, "ok": effects == 1 and not problem}
    return row | {"seconds": seconds, "how": problem or bench.how()}


def main() -> None:
    """Speak JSON to the parent, and end with it; where the parent was killed, clear the place in its stead."""
    order = json.loads(sys.argv[1])
    place = Sandbox(Path(order["folder"]))
    rows = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what is logged is not for the parent
    conductor = Runner(place, order["task"], order["within"])

    def clear() -> None:
        conductor.close()
        place.clear()

    end_with_parent(clear)
    try:
        for row in conductor.conduct():
            rows.write(json.dumps(row) + "\n")
    except (WorkerEnded, NotDrilled) as error:
        rows.write(json.dumps({"failed": clean(str(error))}) + "\n")
    except Exception as error:
        rows.write(json.dumps({"failed": describe(error)}) + "\n")
        raise


if __name__ == "__main__":
    main()
