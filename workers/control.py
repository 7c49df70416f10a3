"""Remote control: a revoke cancels the call in the register, whether or not a worker runs.

Celery keeps revoked ids in the memory of its workers, and a restart forgets them. Here the sender cancels the call in
the register and the journal before it broadcasts anything, and a worker does the same for the broadcast of a Celery
client that is not ours. A worker's memory decides nothing about registered calls, so a later `gate resolve` counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any

import click
import structlog
from celery import Celery
from celery.app.control import Control
from celery.worker.control import Panel
from kombu.exceptions import OperationalError
from kombu.utils.functional import maybe_list

import settings
from gatekeeper import origin
from gatekeeper.errors import NotRevoked, UnsupportedOption
from gatekeeper.policies.spec import DAY_MS, registered
from gatekeeper.redact import clean
from state import hints
from state.errors import StoreError
from state.ledger import Ledger, revoke
from state.ledger.revoke import UNKNOWN, Revoked
from workers import options
from workers.people import all_agents, person

log = structlog.get_logger("gatehouse.app")

#: The name under which the register answers, beside the names of the workers.
REGISTER = "register"
#: The states of a call that has begun and has not ended.
BEGUN = frozenset({"claimed", "sending", "unknown", "held"})

#: The answer to a revoke by stamped headers.
STAMPS = (
    "nothing was revoked: the register keeps no stamps, so calls cannot be revoked by them; revoke each call by its id: "
    f"{hints.celery('control', 'revoke', 'ID')}"
)

#: Arguments that Celery's clients pass with a queue's name by default, and their values.
_DEFAULTS: Mapping[str, tuple[Any, ...]] = {"exchange_type": (None, "", "direct")}

_panel_revoke: Callable[..., Any] = Panel.data["revoke"]


class RegisteredControl(Control):
    """Celery's remote control, with revokes that cancel calls in the register first."""

    def broadcast(  # type: ignore[override]  # other arguments are passed on unchanged
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        destination: Sequence[str] | None = None,
        *,
        reply: bool = False,
        **options: Any,
    ) -> Any:
        """Send a command to the workers; cancel the calls of a revoke in the register before.

        Args:
            command: The command's name.
            arguments: Its arguments, by name.
            destination: The workers that get it; None for all.
            reply: Whether to wait for answers, and return them.
            **options: Other arguments of `Control.broadcast`.

        Raises:
            NotRevoked: A call has begun, or calls were named by stamped headers. The other calls are cancelled.
            JournalUnavailable: The journal cannot be written; revoke the calls again.

        """
        if command == "revoke_by_stamped_headers":
            raise NotRevoked(STAMPS)
        ids = _ids((arguments or {}).get("task_id")) if command in {"revoke", "terminate"} else []
        if not ids:
            return super().broadcast(command, arguments, destination, reply=reply, **options)
        revoked = cancel(self.app, ids, _revoked_by())
        replies = [{REGISTER: {"ok": "\n".join(map(describe, revoked))}}]
        if reply and options.get("callback"):
            options["callback"](replies[0])
        unknown = [each.call for each in revoked if each.state == UNKNOWN]
        if unknown:  # a task of Celery's own, or an unregistered message that a worker may hold
            rest = {**(arguments or {}), "task_id": unknown}
            replies += super().broadcast(command, rest, destination, reply=reply, **options) or []
        if begun := [each for each in revoked if each.state in BEGUN]:
            raise NotRevoked("; ".join(map(describe, begun)))
        return replies if reply else None


def cancel(app: Celery, ids: Iterable[str], by: str) -> list[Revoked]:
    """Cancel calls in the register and the journal, and store the result REVOKED for each at once.

    Args:
        app: The Celery application.
        ids: The ids of the calls.
        by: Who revokes them, for the history of their keys.

    Returns:
        What became of each call.

    """
    revoked = Ledger().revoke(
        agents=all_agents(),
        calls=ids,
        by=by,
        keep_ms=settings.current().ledger_days * DAY_MS,
        safe={name for name, spec in registered().items() if spec.effect is None},
    )
    for each in revoked:
        log.info("revoked", agent=each.agent, call=each.call, key=each.key, by=by, state=each.state, now=each.is_new)
        if each.is_new and each.state == "cancelled":
            _store_result(app, each.call)
    return revoked


def describe(revoked: Revoked) -> str:
    """Return one sentence: what became of one id, and what a person can do next."""
    if revoked.state in BEGUN:
        return _describe_begun(revoked)
    match revoked:
        case Revoked(state="cancelled", is_new=True, has_key=True):
            return (
                f"call {revoked.call} is cancelled, and its key {revoked.key} with it: a new call of that key is refused. "
                f"To run it after all: {hints.gatehouse('resolve', revoked.key, '--not-applied', '--why', '…')}"
            )
        case Revoked(state="cancelled", is_new=True):
            return f"call {revoked.call} is cancelled; another call of its key {revoked.key} goes on"
        case Revoked(state="cancelled"):
            return f"call {revoked.call} was cancelled before"
        case Revoked(state=revoke.UNKNOWN, is_new=True):
            return f"no agent knows a call {revoked.call}; if its message arrives, it does not run"
    return f"call {revoked.call} is over ({revoked.state}): there is nothing to revoke; {_see(revoked)}"


def _describe_begun(revoked: Revoked) -> str:
    text = f"call {revoked.call} has begun ({revoked.state}) and is not stopped; its effect may be out; {_see(revoked)}"
    if revoked.state in {"unknown", "held"}:
        text += f"; to end it: {hints.gatehouse('resolve', revoked.key, '--cancel', '--why', '…')}"
    return text


def _see(revoked: Revoked) -> str:
    return f"see: {hints.gatehouse('explain', revoked.call)}"


def install() -> None:
    """Replace Celery's own commands in the workers of this process."""
    for name in ("add_consumer", "cancel_consumer"):
        Panel.data[name] = _checked(Panel.data[name])
    for name, command in (("revoke", _revoke), ("terminate", _terminate), ("revoke_by_stamped_headers", _by_stamps)):
        Panel.data[name] = command


def _checked(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command that refuses an invalid queue name: Celery checks it later, where an error ends the worker."""

    @wraps(command)
    def about_queue(state: Any, queue: Any = None, **given: Any) -> Any:
        refused = sorted(name for name, value in given.items() if value not in _DEFAULTS.get(name, (None,)))
        if refused:
            return {"error": f"{refused[0]} is not supported: a queue of Redis has nothing but its name"}
        try:
            return command(state, queue=options.queue_name(queue))
        except UnsupportedOption as error:
            return {"error": clean(str(error))}

    return about_queue


def _revoke(state: Any, task_id: Any, **options: Any) -> dict[str, Any]:
    """Handle a broadcast revoke in a worker. A registered call that runs is not ended: its effect may be on its way."""
    revoked = cancel(state.app, _ids(task_id), "revoke")
    unknown = [each.call for each in revoked if each.state == UNKNOWN]
    answers = _panel_revoke(state, unknown, **options) if unknown else {}
    lines = [*map(describe, revoked), *map(str, answers.values())]
    return {"error" if any(each.state in BEGUN for each in revoked) else "ok": "\n".join(lines)}


def _terminate(state: Any, signal: Any, task_id: Any, **options: Any) -> dict[str, Any]:
    return _revoke(state, task_id, terminate=True, signal=signal, **options)


def _by_stamps(state: Any, headers: Any, **_: Any) -> dict[str, Any]:  # noqa: ARG001 - Celery's signature
    return {"error": STAMPS}


def _ids(given: Any) -> list[str]:
    return [str(each) for each in maybe_list(given) or []]


def _revoked_by() -> str:
    """Return who revokes, for the history of the keys."""
    command = click.get_current_context(silent=True)
    if command is not None and command.info_name == "control":
        return clean(f"{person()} through celery control")
    return clean(f"revoke through {origin.current()}")


def _store_result(app: Celery, call: str) -> None:
    """Store the result of a revoked task, in place of a stored "not yet"."""
    try:
        app.backend.forget(call)
        app.backend.mark_as_revoked(call, reason="revoked", store_result=True)
    except (OperationalError, OSError, StoreError) as error:
        log.warning("result not stored", call=call, error=clean(str(error)), hint="the call is cancelled all the same")
