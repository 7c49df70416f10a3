"""A worker of the drill: `python -m workers.drill.worker '{"name", "agents", "task", "url"}'`."""

from __future__ import annotations

import json
import sys
from typing import Any

from celery.signals import task_prerun

from workers.drill import stage, stub_tasks
from workers.drill.parent_watch import end_with_parent

OPTIONS = ("--pool", "threads", "--concurrency", "4", "--without-mingle", "--without-gossip", "--without-heartbeat")


def main() -> None:
    """Work until killed."""
    end_with_parent()
    order: dict[str, Any] = json.loads(sys.argv[1])
    app = stage.move_to(order["name"])
    tasks = stub_tasks.take_the_stage(order["agents"], order["task"], order["url"])
    authors = {task.name: stub_tasks.Author(order["url"], task.gate.agent) for task in tasks}

    @task_prerun.connect(weak=False)
    def _tell(sender: Any, **_: Any) -> None:
        if sender.name in authors:
            authors[sender.name].at("message")

    app.worker_main(["--quiet", "worker", *OPTIONS, "--hostname", f"{order['name']}@%h", "--loglevel", "warning"])


if __name__ == "__main__":
    main()
