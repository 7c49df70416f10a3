"""Celery without the gate, with the same settings and the same time limits: `celery -A bench.plain worker`."""

from __future__ import annotations

from celery import Celery

import settings
from gatekeeper.policies.durations import duration_ms
from gatekeeper.policies.spec import DEFAULT_LEASE
from workers.config import celery_config

LIMIT = duration_ms(DEFAULT_LEASE) // 1000

app = Celery("plain", config_source=celery_config(settings.current()))
app.conf.task_ignore_result = True
app.conf.worker_consumer = "celery.worker.consumer:Consumer"  # ours checks every message


@app.task(name="plain.nothing", soft_time_limit=LIMIT, time_limit=LIMIT + 5)
def nothing(n: int) -> int:
    """Return the argument."""
    return n
