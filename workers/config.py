"""Celery's settings, each with its reason where the default would do harm."""

from __future__ import annotations

from typing import Any

from celery.app.utils import Settings

import settings
from server_urls import broker_url, redis_url
from server_urls.amqp_url import AmqpUrl
from server_urls.redis_url import RedisUrl
from state.redis import opening
from workers.rabbitmq import config as rabbitmq

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
    # Only Flower reads events of tasks: the Procfile, which runs it, starts the worker with --task-events.
    "worker_send_task_events": False,
    "task_send_sent_event": False,
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


#: Instead of those above, where sentinels choose the server: a primary that stands still is noticed after 20 seconds. They
#: name another one after 10 at the earliest, and kombu looks at its connection as often as its health check is due.
WITH_SENTINELS: dict[str, Any] = {"socket_timeout": 5, "socket_connect_timeout": 2, "health_check_interval": 5}


def transport_options(place: RedisUrl | AmqpUrl) -> dict[str, Any]:
    """Return what kombu, and Celery's results, have to know of a server besides its URL and the options of TLS."""
    if not isinstance(place, RedisUrl) or not place.sentinels:
        return {}
    return {**WITH_SENTINELS, "master_name": place.master, "sentinel_kwargs": opening.sentinel_options(place)}


def celery_config(config: settings.Settings) -> dict[str, Any]:
    """Return the configuration of the Celery application for these settings."""
    broker, results = broker_url.read(config.broker_url), redis_url.read(config.redis_url)
    addresses: dict[str, Any] = {
        "broker_url": broker.for_kombu,
        "broker_use_ssl": broker.ssl_options,
        "result_backend": None if results.nodes else results.for_kombu,  # of a cluster: workers/cluster_results.py
        "redis_backend_use_ssl": results.ssl_options,
    }
    if more := transport_options(broker):
        addresses["broker_transport_options"] = CONNECTION["broker_transport_options"] | more
    if results.sentinels:
        addresses["result_backend_transport_options"] = transport_options(results)
        addresses |= {
            "redis_socket_connect_timeout": WITH_SENTINELS["socket_connect_timeout"],
            "redis_socket_timeout": 10,
        }
    own = rabbitmq.SETTINGS if broker_url.is_amqp(config.broker_url) else {}
    return {**FORMAT, **WORKER, **CONNECTION, **addresses, **own}


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
