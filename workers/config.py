"""Celery's settings, each with its reason where the default would do harm."""

from __future__ import annotations

from typing import Any

from celery.app.utils import Settings

import redis_url
import settings

#: Seconds after which an unacknowledged message is delivered again; the ledger makes that harmless.
VISIBILITY_TIMEOUT = 3600
#: Seconds that running tasks get when a worker is asked to stop; the messages of the others go back to the queue.
GRACE = 5.0

#: Messages and results are JSON, and their times are in UTC.
FORMAT: dict[str, Any] = {
    "accept_content": ["json"],
    "result_accept_content": ["json"],
    "task_serializer": "json",
    "result_serializer": "json",
    "timezone": "UTC",
}

WORKER: dict[str, Any] = {
    # Acknowledge a message when its task has ended, not when it starts.
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "worker_prefetch_multiplier": 1,
    "worker_consumer": "workers.consumer:Consumer",
    # Applies to SIGTERM with REMAP_SIGTERM=SIGQUIT in the environment, and to SIGQUIT.
    "worker_soft_shutdown_timeout": GRACE,
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
    # Flower shows these events.
    "worker_send_task_events": True,
    "task_send_sent_event": True,
    "beat_scheduler": "workers.scheduler:TickScheduler",
}

#: How clients and workers treat their connections.
CONNECTION: dict[str, Any] = {
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
}


def celery_config(config: settings.Settings) -> dict[str, Any]:
    """Return the configuration of the Celery application for these settings."""
    broker, results = redis_url.read(config.broker_url), redis_url.read(config.redis_url)
    addresses = {
        "broker_url": broker.for_kombu,
        "broker_use_ssl": broker.ssl_options,
        "result_backend": results.for_kombu,
        "redis_backend_use_ssl": results.ssl_options,
    }
    return {**addresses, **FORMAT, **WORKER, **CONNECTION}


class OwnAddresses(Settings):
    """Celery's view of its configuration, with addresses that come only from our settings.

    `celery` reads the environment variables BROKER_URL and RESULT_BACKEND as values of its own options, and its view
    of the configuration prefers these options to any configuration.
    """

    @classmethod
    def take_over(cls, view: Settings) -> Settings:
        """Turn a view that Celery made into one of this class, and return it."""
        object.__setattr__(view, "__class__", cls)  # setting an attribute of a view changes the configuration instead
        return view

    @property
    def broker_url(self) -> str:
        """Return the broker's URL."""
        return str(self.first("broker_url"))

    broker_read_url = broker_write_url = broker_url

    @property
    def result_backend(self) -> str:
        """Return the result backend's URL."""
        return str(self.first("result_backend"))
