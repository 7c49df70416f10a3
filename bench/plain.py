"""Celery without the gate, as a user would run it: `celery -A bench.plain worker`.

Acknowledgement after the task, as anyone needs who must not lose a task; for the rest Celery's own defaults, so prefetch 4
for each process, kombu's own transport and no events of tasks. Nothing of Gatehouse's worker is imported, and a worker that
has it all the same does not start.
"""

from __future__ import annotations

import sys
from typing import Any

from celery import Celery
from celery.signals import worker_init

import settings
from server_urls import redis_url

app = Celery(
    "plain",
    broker=redis_url.read(settings.current().broker_url).for_kombu,
    backend=redis_url.read(settings.current().redis_url).for_kombu,
)
app.conf.task_acks_late = True
app.conf.broker_connection_retry_on_startup = True  # the default, which Celery wants to be written down


@worker_init.connect
def _is_alone(**_: Any) -> None:
    if "workers" in sys.modules:
        raise SystemExit(
            "bench.plain: Gatehouse is loaded and changes Celery; start it with: python -m bench.celery_alone"
        )


@app.task(name="plain.nothing", ignore_result=True)
def nothing(n: int) -> int:
    """Return the argument."""
    return n


@app.task(name="plain.stored")
def stored(n: int) -> int:
    """Return the argument, and let Celery store it as the result in Redis."""
    return n
