"""DBOS on SQLite; `python -m bench.peers.adapters.dbos` runs its workflows.

https://docs.dbos.dev/python/tutorials/idempotency-tutorial: the workflow's id is the idempotency key.
https://docs.dbos.dev/python/tutorials/step-tutorial: what calls an external service is a step, with `retries_allowed`.
A workflow that was interrupted is recovered when the process starts again, from its last completed step.

The bench of speed has a workflow that does nothing, and one with a step that does nothing.
https://docs.dbos.dev/python/tutorials/queue-tutorial: the application enqueues; without a limit, all that is queued may run.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from dbos import DBOS, DBOSClient

from bench.peers.adapters import effect, processed

FILE = Path(os.environ["STATE_DIR"]) / "dbos.sqlite"
QUEUE = "posts"
#: Seconds for the worker to make the database and its tables.
READY_WITHIN = 30.0

send = DBOS.step(name="send", retries_allowed=True, max_attempts=4, interval_seconds=0.5)(effect.publish)
do_nothing = DBOS.step(name="nothing")(processed.count)


def publish(key: str) -> str:
    """Publish, as a workflow of one step."""
    return str(send(key))


def noop(n: int) -> None:  # noqa: ARG001 - each call has an argument of its own
    """Do nothing, as a workflow without a step."""
    processed.count()


def noop_step(n: int) -> None:  # noqa: ARG001 - each call has an argument of its own
    """Do nothing, as a workflow of one step."""
    do_nothing()


workflow = DBOS.workflow(name="noop")(noop)
workflow_with_step = DBOS.workflow(name="noop_step")(noop_step)


def call(key: str) -> None:
    """Ask for a key."""
    client = _client()
    try:
        client.enqueue({"workflow_name": "publish", "queue_name": QUEUE, "workflow_id": key}, key)
    finally:
        client.destroy()


def connect() -> None:
    """Start an application that enqueues, and runs nothing itself."""
    _launch(works=False)


def enqueue(n: int) -> None:
    """Ask for the workflow that does nothing."""
    DBOS.enqueue_workflow(QUEUE, workflow, n)


def enqueue_step(n: int) -> None:
    """Ask for the workflow whose step does nothing."""
    DBOS.enqueue_workflow(QUEUE, workflow_with_step, n)


def main() -> None:
    """Work until killed."""
    _launch()
    (FILE.parent / "ready").touch()
    threading.Event().wait()


def _launch(*, works: bool = True) -> None:
    DBOS(config={"name": "peer", "system_database_url": f"sqlite:///{FILE}"})
    DBOS.workflow(name="publish")(publish)
    if not works:
        DBOS.listen_queues([])
    DBOS.launch()
    DBOS.register_queue(QUEUE)


def _client() -> DBOSClient:
    end = time.monotonic() + READY_WITHIN
    while not (FILE.parent / "ready").exists() and time.monotonic() < end:
        time.sleep(0.05)
    return DBOSClient(system_database_url=f"sqlite:///{FILE}")


if __name__ == "__main__":
    main()
