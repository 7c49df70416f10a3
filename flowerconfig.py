"""Flower's configuration. `celery -A workers flower` reads it from this folder; each name is one of Flower's options."""

from typing import Any

from flower.utils import broker
from redis.asyncio.sentinel import Sentinel

import settings
from gatekeeper import logs, origin
from server_urls import redis_url
from server_urls.broker_url import is_amqp
from server_urls.redis_url import RedisUrl
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
        own = {"socket_timeout": self.socket_timeout, "retry": broker.Retry(broker.NoBackoff(), 0)}
        place = redis_url.read(_chosen.broker_url)
        if place.sentinels:
            self.redis = _of_sentinels(place, own | {"socket_connect_timeout": self.socket_connect_timeout})
        else:
            self.redis = broker.redis.Redis.from_url(_chosen.broker_url, **own)


def _of_sentinels(place: RedisUrl, options: dict[str, Any]) -> Any:
    """Return a client of the server that the sentinels call the primary."""
    manager = Sentinel(place.sentinels, sentinel_kwargs={**options, **place.sentinel_options}, **options)
    login = {"username": place.username or None, "password": place.password or None, "db": place.database}
    tls = {"ssl": True, **(place.ssl_options or {})} if place.tls is not None else {}
    return manager.master_for(place.master, **login, **tls)


if is_amqp(_chosen.broker_url):
    #: Without it Flower asks port 15672 of the host in BROKER_URL.
    broker_api = _chosen.broker_api_url or None
else:
    for _reader in ("Redis", "RedisSsl", "RedisSocket", "RedisSentinel"):
        setattr(broker, _reader, _Broker)


# A list, because Flower splits the text of FLOWER_BASIC_AUTH at commas into several passwords.
basic_auth = [flower_guard.install()]
