"""Celery as it comes.

https://docs.celeryq.dev/en/stable/userguide/tasks.html: "the default behavior is to acknowledge the message in advance,
just before it's executed, so that a task invocation that already started is never executed again".
"""

from __future__ import annotations

from celery import Celery

from bench.peers.adapters import celery_settings, effect

app = Celery("early", config_source=celery_settings.early())


@app.task(name="publish", **celery_settings.RETRIES)
def publish(key: str) -> str:
    """Publish."""
    return effect.publish(key)


def call(key: str) -> None:
    """Ask for a key."""
    publish.delay(key)
