"""Celery's settings, each with its reason where the default would hurt."""

from __future__ import annotations

from typing import Any

from celery.app.utils import Settings

import redis_url
import settings

#: Seconds. A message unacknowledged for this long is delivered again; the ledger makes that harmless.
VISIBILITY_TIMEOUT = 3600
#: Seconds. What runs when a worker is asked to stop may end in this time; the rest goes back.
GRACE = 5.0


def celery_config(config: settings.Settings) -> dict[str, Any]:
    """The configuration of the application for these settings."""
    broker, results = redis_url.read(config.broker_url), redis_url.read(config.redis_url)
    return {
        "broker_url": broker.for_kombu,
        "broker_use_ssl": broker.ssl_options,
        "result_backend": results.for_kombu,
        "redis_backend_use_ssl": results.ssl_options,
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "timezone": "UTC",
        # A message goes away when its task is over, not when it begins.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "worker_consumer": "workers.consumer:Consumer",
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


class OwnAddresses(Settings):
    """Celery's view of its configuration, which takes no address from the environment.

    `celery` reads BROKER_URL and RESULT_BACKEND as values of its own options, and puts them, as they are, into variables
    that Celery's view takes before any configuration.
    """

    @classmethod
    def take_over(cls, view: Settings) -> Settings:
        """Make `view` one of this class; Celery itself names the class that it makes."""
        object.__setattr__(view, "__class__", cls)  # its own way of setting anything is to configure it
        return view

    @property
    def broker_url(self) -> str:
        """Where messages go."""
        return str(self.first("broker_url"))

    @property
    def broker_read_url(self) -> str:
        """The same."""
        return self.broker_url

    @property
    def broker_write_url(self) -> str:
        """The same."""
        return self.broker_url

    @property
    def result_backend(self) -> str:
        """Where results go."""
        return str(self.first("result_backend"))
