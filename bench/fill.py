"""Submit calls through an application's own `send_task`: `python -m bench.fill APP TASK COUNT`."""

from __future__ import annotations

import sys
from importlib import import_module


def fill(module: str, task: str, count: int) -> None:
    """Send `count` calls with different arguments."""
    app = import_module(module).app
    app.loader.import_default_modules()
    for n in range(count):
        app.send_task(task, kwargs={"n": n})


if __name__ == "__main__":
    fill(sys.argv[1], sys.argv[2], int(sys.argv[3]))
