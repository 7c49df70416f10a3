"""Flower's configuration; `celery -A workers flower` reads it from this folder, each name being one of its options."""

import os
from typing import Any
from urllib.parse import urlsplit

from flower.app import Flower
from flower.utils import broker
from tornado.httputil import HTTPServerRequest
from tornado.web import ErrorHandler

import settings
from gatekeeper import door, logs
from workers import flower_revokes

logs.configure()
door.name_process("flower")
flower_revokes.install()
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


def _strange(request: HTTPServerRequest) -> bool:
    """Whether a web page of somebody else's made the browser send this."""
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site", "none")
    foreign = request.host_name not in {"127.0.0.1", "localhost"} or (
        origin and urlsplit(origin).netloc != request.host
    )
    return bool(foreign or (request.method != "GET" and site not in {"none", "same-origin"}))


def _find_handler(self: Any, request: HTTPServerRequest, **kwargs: Any) -> Any:
    if _strange(request):
        return self.get_handler_delegate(request, ErrorHandler, {"status_code": 403})
    return super(Flower, self).find_handler(request, **kwargs)


if _chosen.desk_password:
    # A list, because Flower splits the text of FLOWER_BASIC_AUTH at commas, into passwords of their own.
    basic_auth = [f"admin:{_chosen.desk_password}"]
else:
    # Without this Flower's pages work and its API does not, which could then start no task.
    os.environ["FLOWER_UNAUTHENTICATED_API"] = "true"
    # Flower then lets any page in the user's browser call that API; this lets only its own pages and command lines.
    Flower.find_handler = _find_handler
