"""Celery with late acks.

https://docs.celeryq.dev/en/stable/userguide/tasks.html: "If your task is idempotent you can set the acks_late option".
https://docs.celeryq.dev/en/stable/userguide/configuration.html#worker-deduplicate-successful-tasks skips a delivery whose
task has already succeeded. `task_reject_on_worker_lost` stays off: the same page warns that it can repeat a task.
"""

from __future__ import annotations

from celery import Celery

from bench.peers.adapters import celery_settings, effect, processed

app = Celery("late", config_source=celery_settings.late())


@app.task(name="publish", **celery_settings.RETRIES)
def publish(key: str) -> str:
    """Publish."""
    return effect.publish(key)


def call(key: str) -> None:
    """Ask for a key."""
    publish.delay(key)


@app.task(name="noop")
def noop(n: int) -> None:  # noqa: ARG001 - each call has an argument of its own
    """Do nothing."""
    processed.count()


def enqueue(n: int) -> None:
    """Ask for the task that does nothing."""
    noop.delay(n)
