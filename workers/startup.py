"""The start of a process: what is loaded and checked for every one, and what a worker or a beat checks and logs besides."""

from __future__ import annotations

import pkgutil
import warnings
from typing import Any

import structlog
from celery.exceptions import CPendingDeprecationWarning
from celery.signals import beat_init, setup_logging, worker_init, worker_ready

import settings
import tasks
from clients import destinations
from gatekeeper import logs
from gatekeeper.policies.spec import agents
from gatekeeper.tables import modules
from state import host, redis_format
from state.errors import JournalUnavailable
from state.ledger import shared_journal

log = structlog.get_logger("gatehouse.app")


def load_agents() -> None:
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


def check_destinations() -> None:
    """Raise SettingsError for a destination in PUBLISH_TO that cannot be used."""
    try:
        destinations.check_all()
    except (destinations.UnknownDestination, destinations.NotConfigured) as error:
        raise settings.SettingsError(f"PUBLISH_TO: {error}") from None


def check_autonomy() -> None:
    """Raise SettingsError for the setting AUTONOMY_… of an agent that does not exist."""
    known = {agent.replace("-", "_") for agent in agents()}
    for name in sorted(settings.current().autonomy.keys() - known):
        raise settings.SettingsError(
            f"AUTONOMY_{name.upper()}: there is no agent {name!r}; there are: {', '.join(agents())}"
        )


@worker_init.connect
@beat_init.connect
def _check_at_start(**_: Any) -> None:
    redis_format.check_at_start()
    host.check_at_start()


@setup_logging.connect
def _configure_logs(**_: Any) -> None:
    logs.configure()


@worker_ready.connect
def _log_worker_ready(**_: Any) -> None:
    log.info("worker ready")


@worker_ready.connect
def _warn_of_journal(**_: Any) -> None:
    """Log what endangers a record that the database of the journal confirms, for a person who never runs `gate doctor`."""
    try:
        found = shared_journal.health()
    except JournalUnavailable:  # the sweeper logs that effects are closed, and why
        return
    for problem, change in found.problems if found else ():
        log.warning("journal database", found=problem, hint=change)


@worker_ready.connect
def _silence_advice(**_: Any) -> None:
    # At each lost connection Celery advises in seven lines to set an option of its next version.
    warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)


@beat_init.connect
def _log_beat_ready(**_: Any) -> None:
    log.info("beat ready")
