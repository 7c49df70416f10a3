"""celery-once: "prevent multiple execution and queuing of celery tasks".

https://github.com/cameronmaske/celery-once#usage: the configuration is its example's, a lock of an hour included. The lock
goes when the task ends, and a second call before that raises AlreadyQueued.
"""

from __future__ import annotations

import os

from celery import Celery
from celery_once import QueueOnce

from bench.peers.adapters import celery_settings, effect, processed

app = Celery("once", config_source=celery_settings.late())
app.conf.ONCE = {
    "backend": "celery_once.backends.Redis",
    "settings": {"url": os.environ["REDIS_URL"], "default_timeout": 60 * 60},
}


@app.task(name="publish", base=QueueOnce, **celery_settings.RETRIES)
def publish(key: str) -> str:
    """Publish."""
    return effect.publish(key)


def call(key: str) -> None:
    """Ask for a key."""
    publish.delay(key)


@app.task(name="noop", base=QueueOnce)
def noop(n: int) -> None:  # noqa: ARG001 - each call has an argument of its own
    """Do nothing."""
    processed.count()


def enqueue(n: int) -> None:
    """Ask for the task that does nothing."""
    noop.delay(n)
