"""DBOS on SQLite; `python -m bench.peers.adapters.dbos` runs its workflows.

https://docs.dbos.dev/python/tutorials/idempotency-tutorial: the workflow's id is the idempotency key.
https://docs.dbos.dev/python/tutorials/step-tutorial: what calls an external service is a step, with `retries_allowed`.
A workflow that was interrupted is recovered when the process starts again, from its last completed step.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from dbos import DBOS, DBOSClient

from bench.peers.adapters import effect

FILE = Path(os.environ["STATE_DIR"]) / "dbos.sqlite"
QUEUE = "posts"
#: Seconds for the worker to make the database and its tables.
READY_WITHIN = 30.0

send = DBOS.step(name="send", retries_allowed=True, max_attempts=4, interval_seconds=0.5)(effect.publish)


def publish(key: str) -> str:
    """Publish, as a workflow of one step."""
    return str(send(key))


def call(key: str) -> None:
    """Ask for a key."""
    client = _client()
    try:
        client.enqueue({"workflow_name": "publish", "queue_name": QUEUE, "workflow_id": key}, key)
    finally:
        client.destroy()


def main() -> None:
    """Work until killed."""
    DBOS(config={"name": "peer", "system_database_url": f"sqlite:///{FILE}"})
    DBOS.workflow(name="publish")(publish)
    DBOS.launch()
    DBOS.register_queue(QUEUE)
    (FILE.parent / "ready").touch()
    threading.Event().wait()


def _client() -> DBOSClient:
    end = time.monotonic() + READY_WITHIN
    while not (FILE.parent / "ready").exists() and time.monotonic() < end:
        time.sleep(0.05)
    return DBOSClient(system_database_url=f"sqlite:///{FILE}")


if __name__ == "__main__":
    main()
