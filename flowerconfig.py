"""Flower's configuration. `celery -A workers flower` reads it from this folder; each name is one of Flower's options."""

from typing import Any

from flower.utils import broker

import settings
from gatekeeper import logs, origin
from web import flower_errors, flower_guard

logs.configure()
origin.name_process("flower")
flower_errors.install()
_chosen = settings.current()

address = "127.0.0.1"
port = _chosen.flower_port

#: A task takes 6 kB of Flower's memory: 12 MB in all. Flower's default of 100 000 tasks takes more than 500 MB.
max_tasks = 2000

#: What a person asks first: what ran, with which arguments, and what it returned.
tasks_columns = "name,kwargs,state,result,received,runtime,worker,uuid"

#: Keeps Tornado from changing the format of our log lines.
logging = "none"


def format_task(task: Any) -> Any:
    """Show in the result column why a task failed; Flower calls this for each row."""
    if task.exception and not task.result:
        word = "in doubt" if task.exception.startswith("OutcomeUnknown") else "failed"
        task.result = f"{word}: {task.exception}"
    return task


class _Broker(broker.RedisBase):  # type: ignore[misc]  # Flower has no types
    """The broker of the settings, whose queues Flower counts.

    Flower's own readers of broker URLs ignore the user name, and the database of a Unix socket.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.redis = broker.redis.Redis.from_url(
            _chosen.broker_url,
            socket_timeout=self.socket_timeout,
            retry=broker.Retry(broker.NoBackoff(), 0),
        )


for _reader in ("Redis", "RedisSsl", "RedisSocket"):
    setattr(broker, _reader, _Broker)


# A list, because Flower splits the text of FLOWER_BASIC_AUTH at commas into several passwords.
basic_auth = [flower_guard.install()]
