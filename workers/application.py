"""The Celery application: every call made through it is registered before its message is sent."""

from __future__ import annotations

import json
import pkgutil
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog
from celery import Celery
from celery.app.utils import Settings
from celery.result import AsyncResult
from celery.signals import (
    beat_init,
    setup_logging,
    worker_process_shutdown,
    worker_ready,
    worker_shutting_down,
)

import settings
import tasks
from clients import destinations
from gatekeeper import logs, origin
from gatekeeper.errors import InvalidArguments, UnknownTask
from gatekeeper.policies.spec import TaskSpec, registered
from gatekeeper.redact import describe
from gatekeeper.run import known
from gatekeeper.tables import modules
from state.ledger import Ledger, owner
from state.ledger.sweep import DueCall
from state.model import Call
from state.options import from_json
from workers import broker, canvas, command_line, control, followers, options, pulse, shutdown
from workers.config import OwnAddresses, celery_config
from workers.queue_probe import QueueProbe
from workers.sweeper import Sweeper

log = structlog.get_logger("gatehouse.app")


class Gatehouse(Celery):
    """Celery whose `send_task`, the one way out of every door, goes through the register, and so do its revokes."""

    control_cls = "workers.control:RegisteredControl"

    def _load_config(self) -> Settings:
        return OwnAddresses.take_over(super()._load_config())  # type: ignore[misc]  # Celery's own, of which its types do not know

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

        Options are kept in the register, not in the message, so that every message of the call is sent with them. Once
        the call is registered nothing raises any more: the caller would believe that it was refused.

        Raises:
            InvalidArguments: The arguments do not fit the task.
            UnsupportedOption: An option cannot be kept with the call.

        """
        given |= {"countdown": countdown, "eta": eta, "task_id": task_id}
        if name in self.tasks and name not in registered():  # Celery's own
            options.check_celery_task(name, kwargs)
            return super().send_task(name, args, kwargs, **given)
        with origin.errors_for_command_line():
            call, asked = self._asked(name, args, kwargs, given)
            fresh = self.accept(call, asked.delay_ms, asked.expires_ms, **asked.sending)
            if not fresh and Ledger().is_forbidden(call.agent, call.id):
                raise InvalidArguments(
                    f"the id {call.id} was revoked before this call was made: give the call another id"
                )
        return self.AsyncResult(call.id)

    def check(self, name: str, args: Any, kwargs: Any, given: dict[str, Any]) -> None:
        """Raise what `send_task` would raise before it registers a call of a gated task."""
        if name in registered() or name not in self.tasks:
            with origin.errors_for_command_line():
                self._asked(name, args, kwargs, dict(given))
        else:
            options.check_celery_task(name, kwargs)

    def _asked(self, name: str, args: Any, kwargs: Any, given: dict[str, Any]) -> tuple[Call, options.CallOptions]:
        gate = _gate(name)
        follow = followers.take(given)
        asked = options.read(gate, given, self.conf.task_default_queue)
        said = replace(asked.options, then=follow.then, otherwise=follow.otherwise, chain=follow.chain)
        call = gate.call(args or (), kwargs or {}, id=asked.call, door=origin.current(), options=said.as_json())
        return call, asked

    def accept(self, call: Call, delay_ms: int = 0, expires_ms: int = 0, *, digest: str = "", **sending: Any) -> bool:
        """Register the call, then send its message; False if this very call was known already.

        `digest` is that of what the call was made from; raises ContentMismatch if the known one was made from another, and
        without it IdInUse if the known one is another call.
        `sending` is how the first message is sent.
        """
        known.check_id(call.id)
        fresh = known.register(Ledger(), call, delay_ms, expires_ms, digest)
        if fresh and not delay_ms:
            self._send(DueCall(call.id, call.task, call.kwargs, call.options), **sending)
        return fresh

    def resend(self, due: DueCall) -> None:
        """Send the message of a registered call once more; its answer takes the place of a "not yet"."""
        self.backend.forget(due.call)
        self._send(due)

    def _send(self, due: DueCall, **sending: Any) -> None:
        """The message is a hint: where it cannot be sent now, whatever the reason, the sweeper sends it later."""
        try:
            super().send_task(due.task, (), json.loads(due.kwargs), task_id=due.call, **sending, **_kept(due.options))
        except Exception as error:  # noqa: BLE001 - the call is accepted, and its caller must not be told that it is not
            log.warning(
                "message not sent", task=due.task, call=due.call, error=describe(error), next="the sweeper sends it"
            )


def _kept(options_json: str) -> dict[str, Any]:
    """What of a call's options each of its messages carries."""
    said = from_json(options_json)
    carried = {"queue": said.queue or None, "priority": said.priority, "ignore_result": said.ignore_result or None}
    return {name: value for name, value in carried.items() if value is not None}


def _gate(name: str) -> TaskSpec:
    try:
        return registered()[name]
    except KeyError:
        known = ", ".join(sorted(registered()))
        raise UnknownTask(f"no agent has a task {name!r}; there are: {known}. Other modules: TASK_MODULES") from None


def _load_agents() -> None:
    """Import every module of `tasks/`, and those that TASK_MODULES names; raises BrokenModule."""
    for module in pkgutil.iter_modules(tasks.__path__, "tasks."):
        modules.load(module.name)
    for name in settings.current().task_modules:
        try:
            modules.load(name)
        except modules.NoModule:
            raise settings.SettingsError(
                f"TASK_MODULES names {name!r}, which is not on PYTHONPATH nor in this folder"
            ) from None


def _check_destinations() -> None:
    try:
        for name in settings.current().publish_to:
            destinations.check(name)
    except (destinations.UnknownDestination, destinations.NotConfigured) as error:
        raise settings.SettingsError(f"PUBLISH_TO: {error}") from None


def _create() -> Gatehouse:
    _check_destinations()
    application = Gatehouse("gatehouse", config_source=celery_config(settings.current()))
    OwnAddresses.take_over(application.conf)
    application.set_default()
    application.steps["consumer"].add(Sweeper)
    application.steps["consumer"].add(QueueProbe)
    application.steps["consumer"].add(pulse.WorkersPulse)
    _load_agents()
    command_line.install()
    broker.install()
    canvas.install(application.check)
    shutdown.install()
    control.install()
    return application


@setup_logging.connect
def _configure_logs(**_: Any) -> None:
    logs.configure()


@worker_shutting_down.connect
@worker_process_shutdown.connect
def _leave(**_: Any) -> None:
    owner.leave()


@worker_shutting_down.connect
def _sign_off(**_: Any) -> None:
    pulse.of_worker().leave()


@worker_ready.connect
def _say_worker_ready(**_: Any) -> None:
    log.info("worker ready")


@beat_init.connect
def _say_beat_ready(**_: Any) -> None:
    log.info("beat ready")


app = _create()
