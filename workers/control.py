"""Remote control: what a person revokes is cancelled in the register, at every door, whether or not a worker runs.

Celery keeps revoked ids in the memory of its workers, and a restart forgets them. Here the sender writes the word into
the register and the journal before anything is broadcast, and a worker does the same with the broadcast of a Celery
client that is not ours. What a worker remembers decides about no call of ours, so a later word of a person counts too.
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
from state.errors import StoreError
from state.ledger import Ledger, revoke
from state.ledger.revoke import UNKNOWN, Revoked
from workers import options
from workers.people import all_agents, person

log = structlog.get_logger("gatehouse.app")

#: What the register answers as, beside the workers' names.
REGISTER = "register"
#: States of a call that has begun and is not over.
BEGUN = frozenset({"claimed", "sending", "unknown", "held"})

STAMPS = (
    "nothing was revoked: the register keeps no stamps, so calls cannot be revoked by them; revoke each call by its id: "
    "celery -A workers control revoke ID"
)

#: What Celery's clients say of a queue besides its name, where nobody asked for anything.
_PLAIN: Mapping[str, tuple[Any, ...]] = {"exchange_type": (None, "", "direct")}

_panel_revoke: Callable[..., Any] = Panel.data["revoke"]


class RegisteredControl(Control):
    """Celery's remote control, whose revokes go into the register first."""

    def broadcast(  # type: ignore[override]  # what it does not look at it hands on as it is
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        destination: Sequence[str] | None = None,
        *,
        reply: bool = False,
        **options: Any,
    ) -> Any:
        """Send a command to the workers; a revoke is written down before.

        Raises:
            NotRevoked: A call has begun, or cannot be found by what was given. The other calls are cancelled.
            JournalUnavailable: The word could not be written down.

        """
        if command == "revoke_by_stamped_headers":
            raise NotRevoked(STAMPS)
        ids = _ids((arguments or {}).get("task_id")) if command in {"revoke", "terminate"} else []
        if not ids:
            return super().broadcast(command, arguments, destination, reply=reply, **options)
        said = cancel(self.app, ids, _who())
        replies = [{REGISTER: {"ok": "\n".join(map(in_words, said))}}]
        if reply and options.get("callback"):
            options["callback"](replies[0])
        unknown = [each.call for each in said if each.state == UNKNOWN]
        if unknown:  # a task of Celery's own, or a message that nobody registered and a worker may hold
            rest = {**(arguments or {}), "task_id": unknown}
            replies += super().broadcast(command, rest, destination, reply=reply, **options) or []
        if begun := [each for each in said if each.state in BEGUN]:
            raise NotRevoked("; ".join(map(in_words, begun)))
        return replies if reply else None


def cancel(app: Celery, ids: Iterable[str], by: str) -> list[Revoked]:
    """Cancel these calls in the register and in the journal; a result that somebody waits for is REVOKED at once."""
    said = Ledger().revoke(
        agents=all_agents(),
        calls=ids,
        by=by,
        keep_ms=settings.current().ledger_days * DAY_MS,
        safe={name for name, gate in registered().items() if gate.effect is None},
    )
    for each in said:
        log.info("revoked", agent=each.agent, call=each.call, key=each.key, by=by, state=each.state, now=each.is_new)
        if each.is_new and each.state == "cancelled":
            _answer(app, each.call)
    return said


def in_words(revoked: Revoked) -> str:
    """What became of one id, and what a person may do next."""
    if revoked.state in BEGUN:
        return _has_begun(revoked)
    match revoked:
        case Revoked(state="cancelled", is_new=True, has_key=True):
            return (
                f"call {revoked.call} is cancelled, and its key {revoked.key} with it: a new call of that key is refused. "
                f"To run it after all: celery -A workers gate resolve '{revoked.key}' --not-applied --why …"
            )
        case Revoked(state="cancelled", is_new=True):
            return f"call {revoked.call} is cancelled; another call of its key {revoked.key} goes on"
        case Revoked(state="cancelled"):
            return f"call {revoked.call} was cancelled before"
        case Revoked(state=revoke.UNKNOWN, is_new=True):
            return f"no agent knows a call {revoked.call}; if its message arrives, it does not run"
    return f"call {revoked.call} is over ({revoked.state}): there is nothing to revoke; {_see(revoked)}"


def _has_begun(revoked: Revoked) -> str:
    words = (
        f"call {revoked.call} has begun ({revoked.state}) and is not stopped; its effect may be out; {_see(revoked)}"
    )
    if revoked.state in {"unknown", "held"}:
        words += f"; to end it: celery -A workers gate resolve '{revoked.key}' --cancel --why …"
    return words


def _see(revoked: Revoked) -> str:
    return f"see: celery -A workers gate explain {revoked.call}"


def install() -> None:
    """Take the place of Celery's own commands in the workers of this process."""
    for name in ("add_consumer", "cancel_consumer"):
        Panel.data[name] = _checked(Panel.data[name])
    for name, command in (("revoke", _revoke), ("terminate", _terminate), ("revoke_by_stamped_headers", _by_stamps)):
        Panel.data[name] = command


def _checked(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command about a queue that refuses what is not one: Celery looks at it later, where it ends the worker."""

    @wraps(command)
    def about_queue(state: Any, queue: Any = None, **given: Any) -> Any:
        odd = sorted(name for name, value in given.items() if value not in _PLAIN.get(name, (None,)))
        if odd:
            return {"error": f"{odd[0]} is not supported: a queue of Redis has nothing but its name"}
        try:
            return command(state, queue=options.queue_name(queue))
        except UnsupportedOption as error:
            return {"error": clean(str(error))}

    return about_queue


def _revoke(state: Any, task_id: Any, **options: Any) -> dict[str, Any]:
    """In a worker: what a broadcast revokes. A call of ours that runs is not ended: its effect may be on its way."""
    said = cancel(state.app, _ids(task_id), "revoke")
    others = [each.call for each in said if each.state == UNKNOWN]
    told = _panel_revoke(state, others, **options) if others else {}
    words = [*map(in_words, said), *map(str, told.values())]
    return {"error" if any(each.state in BEGUN for each in said) else "ok": "\n".join(words)}


def _terminate(state: Any, signal: Any, task_id: Any, **options: Any) -> dict[str, Any]:
    return _revoke(state, task_id, terminate=True, signal=signal, **options)


def _by_stamps(state: Any, headers: Any, **_: Any) -> dict[str, Any]:  # noqa: ARG001 - Celery's signature
    return {"error": STAMPS}


def _ids(given: Any) -> list[str]:
    return [str(each) for each in maybe_list(given) or []]


def _who() -> str:
    """Who revokes, for the story."""
    command = click.get_current_context(silent=True)
    if command is not None and command.info_name == "control":
        return clean(f"{person()} through celery control")
    return clean(f"revoke through {origin.current()}")


def _answer(app: Celery, call: str) -> None:
    """Give the result that Celery gives for a revoked task; a "not yet" that was stored before is replaced."""
    try:
        app.backend.forget(call)
        app.backend.mark_as_revoked(call, reason="revoked", store_result=True)
    except (OperationalError, OSError, StoreError) as error:
        log.warning("result not stored", call=call, error=clean(str(error)), next="the call is cancelled all the same")
