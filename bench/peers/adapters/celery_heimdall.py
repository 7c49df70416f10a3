"""celery-heimdall: "globally unique tasks".

https://github.com/tktech/celery-heimdall#unique-interval-task: `unique_wait_for_expiry` keeps the lock after the task has
ended, for an hour as in its example. After that hour the same call runs again; that is not measured here.

When a task begins, it asks for its lock once more and waits for it, by default one second, although the call itself holds
it. The bench of speed measures both this default and the option that does not wait.
"""

from __future__ import annotations

import os

from celery import Celery
from celery_heimdall import HeimdallTask

from bench.peers.adapters import celery_settings, effect, processed

UNIQUE = {"unique": True, "unique_timeout": 60 * 60, "unique_wait_for_expiry": True}
if "HEIMDALL_DOES_NOT_WAIT" in os.environ:
    UNIQUE["unique_lock_blocking"] = False

app = Celery("heimdall", config_source=celery_settings.late())


@app.task(name="publish", base=HeimdallTask, heimdall=UNIQUE, **celery_settings.RETRIES)
def publish(key: str) -> str:
    """Publish."""
    return effect.publish(key)


def call(key: str) -> None:
    """Ask for a key."""
    publish.delay(key)


@app.task(name="noop", base=HeimdallTask, heimdall=UNIQUE)
def noop(n: int) -> None:  # noqa: ARG001 - each call has an argument of its own
    """Do nothing."""
    processed.count()


def enqueue(n: int) -> None:
    """Ask for the task that does nothing."""
    noop.delay(n)
