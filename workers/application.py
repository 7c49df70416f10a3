"""The Celery application: every call made through it is registered before its message is sent."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog
from celery import Celery
from celery.app.utils import Settings
from celery.backends.redis import RedisBackend, SentinelBackend
from celery.result import AsyncResult

import settings
from gatekeeper import origin
from gatekeeper.errors import IdInUse, InvalidArguments
from gatekeeper.policies.spec import TaskSpec, agents, find, registered
from gatekeeper.redact import describe
from gatekeeper.run import known, tracing
from server_urls import redis_url
from server_urls.broker_url import is_amqp
from state.errors import JournalUnavailable, StoreError
from state.ledger import Ledger
from state.ledger.sweep import DueCall
from state.model import Call
from state.options import from_json
from workers import (
    agent_queues,
    broker,
    canvas,
    command_line,
    control,
    first_message,
    followers,
    options,
    pulse,
    result_text,
    sentinel_broker,
    shutdown,
    startup,
)
from workers.bell import Bell
from workers.cluster_results import ClusterResults
from workers.config import OwnAddresses, celery_config
from workers.first_message import Recorder
from workers.queue_probe import QueueProbe
from workers.rabbitmq.rest import Rest
from workers.sweeper import Sweeper

log = structlog.get_logger("gatehouse.app")


class Gatehouse(Celery):
    """A Celery application that registers every call and every revoke in the ledger first.

    `.delay()`, `apply_async`, `celery call`, Flower and beat all call `send_task`.
    """

    control_cls = "workers.control:RegisteredControl"
    rest = Rest()

    def _get_backend(self) -> Any:
        """Return the result backend; Celery would first read the metadata of every installed package."""
        url = str(self.conf.result_backend)
        if redis_url.read(settings.current().redis_url).nodes:
            return ClusterResults(app=self)
        kind = SentinelBackend if url.startswith("sentinel://") else RedisBackend
        backend: Any = kind(app=self, url=url.removeprefix("redis+"))  # of a socket
        # A result is subscribed to when somebody asks for it. Celery would subscribe to that of every call that it sends,
        # and beat, the sweeper and the web process never ask: their subscriptions would stay as long as they run.
        backend.on_task_call = _subscribe_later
        return backend

    def _load_config(self) -> Settings:
        return OwnAddresses.take_over(super()._load_config())  # type: ignore[misc]  # a private method that its types leave out

    def send_task(  # type: ignore[override]
        self,
        name: str,
        args: Any = None,
        kwargs: Any = None,
        countdown: float | None = None,
        eta: datetime | None = None,
        task_id: str | None = None,
        **given: Any,
    ) -> AsyncResult[Any]:
        """Register the call, then send its message.

        The register keeps the options, so that every message of the call is sent with them. After the registration
        nothing raises: the caller would take the call for refused.

        Args:
            name: The task's name.
            args: Positional arguments.
            kwargs: Named arguments.
            countdown: Seconds from now until the call may run.
            eta: When the call may run; UTC without a time zone.
            task_id: The call's id; a random one by default.
            **given: Other options of Celery; see docs/celery-options.md.

        Raises:
            InvalidArguments: The arguments do not fit the task, or the id was revoked before.
            UnsupportedOption: An option is not supported.
            IdInUse: The id belongs to another call.
            StoreError: Redis does not answer; nothing was registered.
            JournalUnavailable: The journal cannot be written; nothing was registered.

        """
        given |= {"countdown": countdown, "eta": eta, "task_id": task_id}
        spec = registered().get(name)
        if spec is None and name in self.tasks:  # a task of Celery's own
            options.check_celery_task(name, kwargs)
            return super().send_task(name, args, kwargs, **given)
        try:
            call, checked = self._make_call(spec or find(name), args, kwargs, given)
            created = self.accept(call, checked.delay_ms, checked.expires_ms, **checked.sending)
            if not created and Ledger().is_forbidden(call.agent, call.id):
                raise InvalidArguments(
                    f"the id {call.id} was revoked before this call was made: give the call another id"
                )
        except (InvalidArguments, JournalUnavailable, StoreError) as error:
            origin.raise_for_command_line(error)
            raise
        return self.AsyncResult(call.id)

    def check(self, name: str, args: Any, kwargs: Any, given: dict[str, Any]) -> None:
        """Raise what `send_task` would raise before it registers this call.

        Args:
            name: The task's name.
            args: Positional arguments.
            kwargs: Named arguments.
            given: Options of Celery, by name.

        Raises:
            InvalidArguments: The arguments do not fit the task.
            UnsupportedOption: An option is not supported.

        """
        if name in self.tasks and name not in registered():
            options.check_celery_task(name, kwargs)
            return
        try:
            self._make_call(find(name), args, kwargs, dict(given))
        except InvalidArguments as error:
            origin.raise_for_command_line(error)
            raise

    def _make_call(
        self, spec: TaskSpec, args: Any, kwargs: Any, given: dict[str, Any]
    ) -> tuple[Call, options.CallOptions]:
        follow = followers.take(given)
        checked = options.read(spec, given, self.conf.task_default_queue)
        kept = replace(checked.options, then=follow.then, otherwise=follow.otherwise, chain=follow.chain)
        text = kept.as_json()
        call = spec.call(args or (), kwargs or {}, id=checked.call, origin=origin.current(), options=text)
        return call, checked

    def accept(self, call: Call, delay_ms: int = 0, expires_ms: int = 0, *, digest: str = "", **sending: Any) -> bool:
        """Register the call, then send its message unless it has a delay.

        Args:
            call: The call.
            delay_ms: ms from now until it may run.
            expires_ms: ms from now until it expires; 0 for never.
            digest: The digest of the content that the call was made from, such as a webhook's body.
            **sending: Options for sending the first message.

        Returns:
            False if this very call was registered before; nothing was sent then.

        Raises:
            ContentMismatch: The id belongs to a call that was made from other content. Only with a digest.
            IdInUse: The id belongs to another call. Only without a digest.

        """
        began = time.monotonic()
        routed = agent_queues.route(call, self.conf.task_default_queue)
        due, first = DueCall(call.id, call.task, call.kwargs, routed.options), Recorder()
        if first_message.is_possible(call, delay_ms, sending):
            self._send(due, **sending, producer=first)
        try:
            created = known.register(routed, delay_ms, expires_ms, digest, first.message)
        except IdInUse:
            if routed is call:
                raise
            # The same call may have been registered while AGENT_QUEUES said something else: it keeps its queue.
            created = known.register(call, delay_ms, expires_ms, digest)
            first.message = None
        if created:
            tracing.registered(call, began)
        if created and not delay_ms and not first.message:
            self._send(due, **sending)
        return created

    def resend(self, due: DueCall) -> bool:
        """Send the message of a registered call again, and forget its stored result, which says "not yet".

        Returns:
            False if it could not be sent.

        """
        self.backend.forget(due.call)
        return self._send(due)

    def _send(self, due: DueCall, **sending: Any) -> bool:
        """Send a message; if that fails for whatever reason, leave it to the sweeper, and return False."""
        began = time.monotonic()
        try:
            self.rest.check()
            arguments = json.loads(due.kwargs)
            texts = {"argsrepr": "()", "kwargsrepr": result_text.text_of(arguments, self.amqp.kwargsrepr_maxsize)}
            sending |= {"task_id": due.call, **texts, **_message_options(due.options)}
            super().send_task(due.task, (), arguments, **sending)
        except Exception as error:  # noqa: BLE001 - the call is registered: an error would say that it is not
            log.warning(
                "message not sent", task=due.task, call=due.call, error=describe(error), hint="the sweeper sends it"
            )
            if is_amqp(settings.current().broker_url):
                self.rest.begin(time.monotonic() - began)
            return False
        return True


def _subscribe_later(producer: Any, task_id: str) -> None:
    """Do nothing when a call is sent; `AsyncResult.get` subscribes, and then reads what is stored."""


def _message_options(options_json: str) -> dict[str, Any]:
    """Return the options of a call that each of its messages is sent with."""
    kept = from_json(options_json)
    priority = None if is_amqp(settings.current().broker_url) else kept.priority  # a call of the time before RabbitMQ
    sent = {"queue": kept.queue or None, "priority": priority, "ignore_result": kept.ignore_result or None}
    return {name: value for name, value in sent.items() if value is not None}


def _create() -> Gatehouse:
    startup.check_destinations()
    application = Gatehouse("gatehouse", config_source=celery_config(settings.current()))
    OwnAddresses.take_over(application.conf)
    if is_amqp(settings.current().broker_url):
        from workers.rabbitmq import installed  # noqa: PLC0415 - only with RabbitMQ as the broker

        installed.install(application)
    application.set_default()
    application.steps["consumer"].add(Sweeper)
    application.steps["consumer"].add(Bell)
    application.steps["consumer"].add(QueueProbe)
    application.steps["consumer"].add(pulse.PulseStep)
    startup.load_agents()
    startup.check_autonomy()
    agent_queues.check(agents())
    command_line.install()
    broker.install()
    sentinel_broker.install()
    canvas.install(application.check)
    result_text.install()
    shutdown.install()
    control.install()
    return application


app = _create()
