"""celery-heimdall: "globally unique tasks".

https://github.com/tktech/celery-heimdall#unique-interval-task: `unique_wait_for_expiry` keeps the lock after the task has
ended, for an hour as in its example. After that hour the same call runs again; that is not measured here.
"""

from __future__ import annotations

from celery import Celery
from celery_heimdall import HeimdallTask

from bench.peers.adapters import celery_settings, effect

UNIQUE = {"unique": True, "unique_timeout": 60 * 60, "unique_wait_for_expiry": True}

app = Celery("heimdall", config_source=celery_settings.late())


@app.task(name="publish", base=HeimdallTask, heimdall=UNIQUE, **celery_settings.RETRIES)
def publish(key: str) -> str:
    """Publish."""
    return effect.publish(key)


def call(key: str) -> None:
    """Ask for a key."""
    publish.delay(key)
