"""This process's Celery application, moved to the drill's own corner of the broker."""

from __future__ import annotations

from typing import Any

from workers.application import Gatehouse, app

#: Seconds. A message that is not acknowledged by then is delivered again: in a drill, while its task still runs.
VISIBILITY_TIMEOUT = 1


def move_to(name: str) -> Gatehouse:
    """Give every key of the broker and of the results this name as its first part; nobody hears of these workers."""
    prefix = {"global_keyprefix": f"{name}:"}
    again = {"visibility_timeout": VISIBILITY_TIMEOUT, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}
    # A worker that is killed while it puts messages back must not keep the others from it.
    app.conf.broker_transport_options = app.conf.broker_transport_options | prefix | again | {"unacked_mutex_expire": 2}
    app.conf.result_backend_transport_options = prefix
    app.conf.worker_enable_remote_control = False
    app.conf.worker_send_task_events = app.conf.task_send_sent_event = False
    return app


def is_quiet() -> bool:
    """Whether every message was taken and acknowledged."""
    with app.connection_for_read() as connection:
        channel: Any = connection.default_channel  # kombu's types know no transport's own
        waiting = channel.client.llen(app.conf.task_default_queue)
        return not waiting and not channel.client.hlen(channel.unacked_key)
