"""Submit calls through an application's own `send_task`: `python -m bench.fill APP TASK COUNT`.

With `--timed` it calls `.delay()` instead, and prints the calls per second and the microseconds of processor time for each,
without the first fifth.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module
from typing import Any


def fill(app: Any, task: str, count: int) -> None:
    """Send `count` calls with different arguments."""
    for n in range(count):
        app.send_task(task, kwargs={"n": n})


def timed(app: Any, task: str, count: int) -> tuple[float, float]:
    """Return the calls per second of `.delay()`, and the microseconds of this process's processor time for each."""
    delay, warm_up = app.tasks[task].delay, count // 5
    for n in range(warm_up):
        delay(n)
    began, used = time.perf_counter(), time.process_time()
    for n in range(warm_up, warm_up + count):
        delay(n)
    took, used = time.perf_counter() - began, time.process_time() - used
    return count / took, 1e6 * used / count


def main(module: str, task: str, count: str, *options: str) -> None:
    """Do what the command line asks for."""
    app: Any = import_module(module).app
    app.loader.import_default_modules()
    app.finalize()
    if "--timed" in options:
        print(*timed(app, task, int(count)))
    else:
        fill(app, task, int(count))


if __name__ == "__main__":
    main(*sys.argv[1:])
