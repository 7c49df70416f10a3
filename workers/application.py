"""The Celery application: every call made through it is registered before its message is sent."""

from __future__ import annotations

import importlib
import json
import pkgutil
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import structlog
from celery import Celery
from celery.result import AsyncResult
from celery.signals import beat_init, setup_logging, worker_ready
from kombu.exceptions import OperationalError

import settings
import tasks
from gatekeeper import door, logs
from gatekeeper.gate import registered
from gatekeeper.task import CALL_HEADER
from state import store
from state.ledger import Ledger
from state.sweep import Due
from workers import redis_restart
from workers.config import celery_config
from workers.sweeper import Sweeper

log = structlog.get_logger("gatehouse.app")


class Gatehouse(Celery):
    """Celery whose `send_task`, the one way out of every door, goes through the register."""

    def send_task(  # type: ignore[override]  # noqa: PLR0913 - Celery's own order of arguments
        self,
        name: str,
        args: Any = None,
        kwargs: Any = None,
        countdown: float | None = None,
        eta: datetime | None = None,
        task_id: str | None = None,
        **options: Any,
    ) -> AsyncResult[Any]:
        """Register the call, then send its message; raises InvalidArguments if the arguments do not fit the task."""
        gate = registered().get(name)
        if gate is None:
            return super().send_task(name, args, kwargs, countdown, eta, task_id, **options)
        call = gate.call(args or (), kwargs or {}, id=task_id or str(uuid4()), door=door.name())
        delay_ms = _delay_ms(countdown, eta)
        fresh = Ledger(store.client()).register(call, delay_ms)
        if fresh and not delay_ms:
            self._send(name, call.kwargs, task_id=call.id, **options)
        return self.AsyncResult(call.id)

    def resend(self, due: Due) -> None:
        """Send the message of a registered call once more."""
        self._send(due.task, due.kwargs, task_id=due.message, headers={CALL_HEADER: due.call})

    def _send(self, name: str, kwargs: str, **options: Any) -> None:
        """The message is a hint: where it cannot be sent now, the sweeper sends it later."""
        try:
            super().send_task(name, (), json.loads(kwargs), **options)
        except OperationalError as error:
            log.warning("message not sent", task=name, call=options["task_id"], error=str(error), next="the sweeper sends it")


def _delay_ms(countdown: float | None, eta: datetime | None) -> int:
    if eta is not None:
        countdown = (eta.replace(tzinfo=eta.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(0, round((countdown or 0) * 1000))


def _load_agents() -> None:
    """Import every module of `tasks/`, and those that TASK_MODULES names."""
    for module in pkgutil.iter_modules(tasks.__path__, "tasks."):
        importlib.import_module(module.name)
    for name in settings.current().task_modules:
        importlib.import_module(name)


def _create() -> Gatehouse:
    application = Gatehouse("gatehouse", config_source=celery_config(settings.current()))
    application.set_default()
    application.steps["consumer"].add(Sweeper)
    _load_agents()
    redis_restart.install()
    return application


@setup_logging.connect
def _configure_logs(**_: Any) -> None:
    logs.configure()


@worker_ready.connect
def _say_worker_ready(**_: Any) -> None:
    log.info("worker ready")


@beat_init.connect
def _say_beat_ready(**_: Any) -> None:
    log.info("beat ready")


app = _create()
