"""celery-singleton: "only one instance of the task can be queued or running at any given time".

https://github.com/steinitzu/celery-singleton#lock_expiry recommends for workers that crash an expiry "slightly longer than
the expected task duration". That its lock swallows a retry is issue 20 there.
"""

from __future__ import annotations

from celery import Celery
from celery_singleton import Singleton

from bench.peers.adapters import celery_settings, effect, processed

#: Seconds; the longest task here waits about 10.
LOCK_EXPIRY = 30

app = Celery("singleton", config_source=celery_settings.late())


@app.task(name="publish", base=Singleton, lock_expiry=LOCK_EXPIRY, **celery_settings.RETRIES)
def publish(key: str) -> str:
    """Publish."""
    return effect.publish(key)


def call(key: str) -> None:
    """Ask for a key."""
    publish.delay(key)


@app.task(name="noop", base=Singleton, lock_expiry=LOCK_EXPIRY)
def noop(n: int) -> None:  # noqa: ARG001 - each call has an argument of its own
    """Do nothing."""
    processed.count()


def enqueue(n: int) -> None:
    """Ask for the task that does nothing."""
    noop.delay(n)
