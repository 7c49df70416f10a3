"""Celery's settings, each with its reason where the default would hurt."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from settings import Settings

#: Seconds. A message unacknowledged for this long is delivered again; the ledger makes that harmless.
VISIBILITY_TIMEOUT = 3600
#: Seconds. What runs when a worker is asked to stop may end in this time; the rest goes back.
GRACE = 5.0


def celery_config(config: Settings) -> dict[str, Any]:
    """The configuration of the application for these settings."""
    return {
        "broker_url": kombu_url(config.broker_url),
        "result_backend": kombu_url(config.redis_url),
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "timezone": "UTC",
        # A message goes away when its task is over, not when it begins.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "broker_transport_options": {
            "visibility_timeout": VISIBILITY_TIMEOUT,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_keepalive": True,
            "socket_timeout": 30,
            "health_check_interval": 25,
        },
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "result_expires": 86_400,
        "result_backend_always_retry": True,
        # On SIGTERM with REMAP_SIGTERM=SIGQUIT in the environment, and on SIGQUIT.
        "worker_soft_shutdown_timeout": GRACE,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        # Flower lives on these events.
        "worker_send_task_events": True,
        "task_send_sent_event": True,
        "beat_scheduler": "workers.scheduler:TickScheduler",
    }


def kombu_url(url: str) -> str:
    """The URL as Celery writes it: a Unix socket is `redis+socket://` there, its database a `virtual_host`."""
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url
    database = parse_qs(parts.query).get("db", ["0"])[0]
    return f"redis+socket://{parts.netloc}{parts.path}?virtual_host={database}"
