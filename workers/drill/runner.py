"""Runs a drill: `python -m workers.drill.runner '{"folder", "task", "within"}'`, in the sandbox's environment.

Prints one line of JSON per fault, {"fault", "effects", "state", "ok", "seconds", "how"}, or {"failed": reason}.
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
from workers.drill import sandbox, stub_tasks
from workers.drill.fake_provider import FakeProvider, ProviderAccount
from workers.drill.faults import FAULTS, Fault
from workers.drill.sandbox import Sandbox
from workers.drill.scenario import NotDrilled, Scenario
from workers.drill.worker_pool import WorkerEnded, WorkerPool, exit_with_parent

WORKERS = 2
#: Share of `within` after which an unfinished fault counts as not drilled; the rest is for the last lines.
TOTAL_SHARE = 0.9
#: Share of `within` for one fault: of a minute, three times what the slowest fault takes.
FAULT_SHARE = 1 / 3


class Runner:
    """Injects the faults one after the other, into scenarios that share one pool of workers.

    Args:
        box: The sandbox.
        task: The name of the task whose policies are drilled; None for the policies of stub_tasks.
        within: Seconds for the whole drill.

    """

    def __init__(self, box: Sandbox, task: str | None, within: float) -> None:
        self._box, self._task, self._within = box, task, within
        self._agents = [f"{box.name}-{number}" for number, _ in enumerate(FAULTS)]
        self._accounts = {agent: ProviderAccount() for agent in self._agents}
        self._end = time.monotonic() + TOTAL_SHARE * within
        self._pool: WorkerPool | None = None

    def run(self) -> Iterator[dict[str, Any]]:
        """Yield the line of each fault as soon as it is over."""
        app = sandbox.isolate_app(self._box.name)
        tasks = stub_tasks.replace_tasks(self._agents, self._task)
        with FakeProvider(self._accounts) as provider:
            config = {"name": self._box.name, "agents": self._agents, "task": self._task, "url": provider.url}
            with closing(WorkerPool(self._box.folder, config, WORKERS)) as pool:
                self._pool = pool
                scenarios = [Scenario(app, task, self._accounts[task.spec.agent], pool, self._end) for task in tasks]
                yield from self._inject_all(scenarios, pool)

    def close(self) -> None:
        """Kill the workers."""
        if self._pool:
            self._pool.close()

    def _inject_all(self, scenarios: list[Scenario], pool: WorkerPool) -> Iterator[dict[str, Any]]:
        (slowest, beside), *others = zip(FAULTS, scenarios, strict=True)
        beside.until(pool.is_ready, "the workers of the drill")
        with ThreadPoolExecutor(1) as executor:
            slowest_row = executor.submit(_drill, slowest, beside)
            try:
                for fault, scenario in others:
                    scenario.deadline = min(self._end, time.monotonic() + FAULT_SHARE * self._within)
                    yield _drill(fault, scenario, pool.is_ready, sandbox.is_quiet)
                yield slowest_row.result()
            finally:
                beside.deadline = 0.0


def _always() -> bool:
    return True


def _drill(
    fault: Fault, scenario: Scenario, is_ready: Callable[[], bool] = _always, is_quiet: Callable[[], bool] = _always
) -> dict[str, Any]:
    """Inject a fault, wait until its key has ended and no message is left that could change that, and count effects."""
    began, problem = time.monotonic(), ""
    try:
        scenario.until(is_ready, "the workers of the drill")
        began = time.monotonic()
        fault.inject(scenario)
        scenario.until_state(*fault.final_states(scenario))
        scenario.until(is_quiet, "the last message to be taken")
    except NotDrilled as error:
        problem = str(error)
    finally:
        scenario.account.release_all()
    effects, seconds = len(scenario.account.effects), round(time.monotonic() - began, 1)
    row = {"fault": fault.name, "effects": effects, "state": scenario.state, "ok": effects == 1 and not problem}
    return row | {"seconds": seconds, "how": problem or scenario.summary()}


def main() -> None:
    """Run the drill and print its lines; if the parent is killed, clear the sandbox in its place and exit."""
    config = json.loads(sys.argv[1])
    box = Sandbox(Path(config["folder"]))
    rows = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # log lines must not mix with the rows
    runner = Runner(box, config["task"], config["within"])

    def clear() -> None:
        runner.close()
        # The main thread still injects faults: a message that it sends after the sandbox is cleared would stay. Replacing the
        # program stops every other thread before that.
        os.execv(sys.executable, [sys.executable, "-m", "workers.drill.sandbox", config["folder"]])  # noqa: S606 - ourselves

    exit_with_parent(clear)
    try:
        for row in runner.run():
            rows.write(json.dumps(row) + "\n")
    except (WorkerEnded, NotDrilled) as error:
        rows.write(json.dumps({"failed": clean(str(error))}) + "\n")
    except Exception as error:
        rows.write(json.dumps({"failed": describe(error)}) + "\n")
        raise


if __name__ == "__main__":
    main()
