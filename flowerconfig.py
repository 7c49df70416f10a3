"""Flower's configuration; `celery -A workers flower` reads it from this folder, each name being one of its options."""

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

#: A task takes 6 kB of Flower's memory: 12 MB in all, where its own default of 100 000 takes more than half a gigabyte.
max_tasks = 2000

#: What a person asks first: what ran, with which arguments, and what it answered.
tasks_columns = "name,kwargs,state,result,received,runtime,worker,uuid"

#: Tornado leaves the log lines alone, which are ours.
logging = "none"


class _Broker(broker.RedisBase):  # type: ignore[misc]  # Flower has no types
    """The broker whose queues Flower counts: that of the settings, because Flower's own readers of such URLs leave out the user and the database of a Unix socket."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.redis = broker.redis.Redis.from_url(
            _chosen.broker_url,
            socket_timeout=self.socket_timeout,
            retry=broker.Retry(broker.NoBackoff(), 0),
        )


for _reader in ("Redis", "RedisSsl", "RedisSocket"):
    setattr(broker, _reader, _Broker)


# A list, because Flower splits the text of FLOWER_BASIC_AUTH at commas, into passwords of their own.
basic_auth = [flower_guard.install()]
