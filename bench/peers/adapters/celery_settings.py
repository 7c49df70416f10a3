"""The settings that all peers based on Celery share.

https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/redis.html says that a message that is not
acknowledged within the visibility timeout is delivered again, and advises one longer than the longest task. The default is
an hour; it is 10 s here, which is longer than any task here lives, so that a delivery after a death can be watched.
`unacked_restore_interval` and `unacked_restore_throttle` (kombu's Redis transport) make the worker look each second.

The bench of speed has Celery's own defaults instead, with late acks and without results.
"""

from __future__ import annotations

import os
from typing import Any

from bench.peers.adapters.purpose import SPEED

#: Seconds.
VISIBILITY_TIMEOUT = 10

#: https://docs.celeryq.dev/en/stable/userguide/tasks.html#automatic-retry-for-known-exceptions
RETRIES: dict[str, Any] = {"autoretry_for": (Exception,), "max_retries": 3, "default_retry_delay": 1}


def early() -> dict[str, Any]:
    """Return Celery's defaults: a message is acknowledged just before its task begins."""
    return {
        "broker_url": os.environ["REDIS_URL"],
        "result_backend": os.environ["REDIS_URL"],
        "worker_prefetch_multiplier": 1,
        "broker_transport_options": {
            "visibility_timeout": VISIBILITY_TIMEOUT,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
        },
    }


def late() -> dict[str, Any]:
    """Return the settings with late acks: a message is acknowledged when its task has ended."""
    if SPEED:
        urls = {"broker_url": os.environ["REDIS_URL"], "result_backend": os.environ["REDIS_URL"]}
        return {**urls, "task_acks_late": True, "task_ignore_result": True}
    return {**early(), "task_acks_late": True, "worker_deduplicate_successful_tasks": True}
