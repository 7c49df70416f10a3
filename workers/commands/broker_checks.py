"""The broker in `gate doctor`, where it is another server than the ledger's: whether it answers, and how it is set up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import amqp
from kombu import Connection
from kombu.exceptions import OperationalError

import settings
from gatekeeper.policies.spec import registered
from gatekeeper.redact import clean
from server_urls import amqp_url, broker_url
from server_urls.broker_url import is_amqp
from state import rabbitmq
from state.health import QUEUE
from workers.commands.vitals import Finding
from workers.config import transport_options
from workers.rabbitmq import queues

#: The oldest RabbitMQ whose quorum queues know every argument that a queue is declared with, but for the last one.
OLDEST = (3, 10)
#: The first that reads the consumer timeout of a queue.
READS_CONSUMER_TIMEOUT = (3, 12)
#: Minutes: RabbitMQ's own consumer timeout, less what a task may wait in a worker before it begins.
USUAL_TIMEOUT = 25
#: What to write into rabbitmq.conf.
LINE = f"consumer_timeout = {queues.CONSUMER_TIMEOUT}"


def findings(config: settings.Settings) -> Iterator[Finding]:
    """Yield what each check of the broker found; nothing if the ledger's server is the broker, too."""
    if is_amqp(config.broker_url):
        yield from _rabbitmq(config)
    elif config.broker_url != config.redis_url:
        yield _redis(config.broker_url)


def _redis(url: str) -> Finding:
    broker = broker_url.read(url)
    more: dict[str, Any] = {"ssl": broker.ssl_options or False, "transport_options": transport_options(broker)}
    with Connection(broker.for_kombu, connect_timeout=3, **more) as connection:
        try:
            connection.ensure_connection(max_retries=1, timeout=3)
        except OperationalError as error:
            return Finding(
                "broker connection", clean(str(error)), "start the server at BROKER_URL, or correct the address"
            )
    return Finding("broker connection", "answers")


def _rabbitmq(config: settings.Settings) -> Iterator[Finding]:
    where = amqp_url.read(config.broker_url).address
    try:
        with rabbitmq.connected(config.broker_url) as connection:
            found, version = _version(connection.server_properties)
            yield Finding("broker connection", f"{where} answers")
            yield found
            yield _queue(connection)
            yield _dead(connection)
            yield _consumer_timeout(version)
    except rabbitmq.BrokerAway as error:
        change = "start the server at BROKER_URL, or correct the address, the login or the virtual host"
        yield Finding("broker connection", clean(str(error)), change)
    api = config.broker_api_url and "the address in BROKER_API_URL"
    yield Finding("broker API", f"Flower asks {api or 'port 15672 of the same host'} for the lengths of queues")


def _version(properties: dict[str, Any]) -> tuple[Finding, tuple[int, ...]]:
    product, text = str(properties.get("product")), str(properties.get("version"))
    version = tuple(int(part) for part in text.split(".")[:2] if part.isdecimal())
    known = product == "RabbitMQ" and version >= OLDEST
    return Finding("broker version", f"{product} {text}", "" if known else "install RabbitMQ 3.10 or newer"), version


def _queue(connection: Any) -> Finding:
    """Check the default queue. Its declaration changes nothing if it exists as a worker declares it."""
    [name, *_] = QUEUE
    try:
        waiting = connection.channel().queue_declare(name, passive=True).message_count
        connection.channel().queue_declare(name, durable=True, auto_delete=False, arguments=queues.ARGUMENTS)
    except amqp.NotFound:
        return Finding("broker queue", f"{name} does not exist yet; the first worker declares it")
    except amqp.PreconditionFailed as error:
        change = f"delete the queue {name} when it is empty, or name another virtual host: a worker cannot use it"
        return Finding("broker queue", clean(str(error.reply_text)), change)
    return Finding("broker queue", f"{name}: quorum, {waiting} waiting, dead-lettered after {queues.DELIVERY_LIMIT}")


def _dead(connection: Any) -> Finding:
    try:
        count = connection.channel().queue_declare(queues.DEAD, passive=True).message_count
    except amqp.NotFound:
        count = 0
    found = f"{count} messages in {queues.DEAD}; the sweeper sends their calls again"
    return Finding("dead letters", found if count else "none")


def _consumer_timeout(version: tuple[int, ...]) -> Finding:
    """Tell how long a task may run; RabbitMQ's own setting cannot be read over AMQP."""
    if version >= READS_CONSUMER_TIMEOUT:
        return Finding("consumer timeout", "one day, set by the queues")
    longest = max((spec.lease_ms for spec in registered().values()), default=0) / 60_000
    found = f"cannot be read from this version; 30 minutes unless rabbitmq.conf has {LINE}"
    change = f"write {LINE} into rabbitmq.conf: a lease is {longest:.0f} minutes" if longest > USUAL_TIMEOUT else ""
    return Finding("consumer timeout", found, change)
