"""The options that a door takes besides a task and its arguments. The list is short; everything else is refused."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from kombu import Producer, Queue

from gatekeeper.errors import UnsupportedOption
from gatekeeper.policies.spec import TaskSpec, registered
from gatekeeper.run import known
from gatekeeper.task import time_limits
from state.options import Options

#: The longest delay that makes sense; a call is refused anyway when it is older than its task's `max_age`.
MAX_SECONDS = 10 * 365 * 86_400
#: With Redis as the broker, 0 is served first.
PRIORITIES = range(10)

#: With Redis as the broker a queue is a key of that name, so it must not be able to hit a key of another kind.
_QUEUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NO_QUEUES = ("unacked", "celery-task-meta-", "celery-taskset-meta-", "celeryev")

#: What Celery's own code hands over, and what means nothing to the register. It never reaches a message.
WITHOUT_EFFECT = frozenset({"group_id", "group_index", "parent_id", "reply_to", "result_cls", "root_id", "route_name", "task_type"})  # fmt: skip

_ROUTING = "name a queue instead: queue=…"
_GATE = "the task's decorator says it"
#: What other calls follow this one; in the order of the fields of `state.options.Options`.
FOLLOWERS = ("link", "link_error", "chain")
#: Options of Celery that are refused, and why.
REFUSED: Mapping[str, str] = {
    "headers": "nobody but the gate writes the headers of a message",
    "chord": "a chord counts messages, and a deferred call has several; make a group, and start the body yourself",
    "stamped_headers": "stamps are headers, and nobody but the gate writes these",
    "serializer": "messages are JSON",
    "compression": "messages are small and stay readable",
    "exchange": _ROUTING,
    "routing_key": _ROUTING,
    "exchange_type": _ROUTING,
    "router": _ROUTING,
    "declare": _ROUTING,
    "time_limit": f"{_GATE}: @gatekeeper.task(time_limit=…)",
    "soft_time_limit": f"{_GATE}: @gatekeeper.task(time_limit=…)",
    "retries": f"{_GATE}: @gatekeeper.task(attempts=…)",
    "replaced_task_nesting": "a call is not replaced by another one; start that one instead",
    "shadow": "a call is shown under the name of its task",
    "argsrepr": "arguments are shown as they are",
    "kwargsrepr": "arguments are shown as they are",
    "origin": "the register says through which door a call came",
    "connection": "the application has its own connection to the broker",
    "publisher": "the application has its own connection to the broker",
    "retry_policy": "a message that cannot be sent now is sent again by a worker",
    "delivery_mode": "the register keeps the call, whatever the broker does with the message",
    "expiration": "the register keeps this: expires=…",
    "immediate": "the register keeps the call until a worker takes it",
    "mandatory": "the register keeps the call until a worker takes it",
    "timeout": "a message that cannot be sent now is sent again by a worker",
    "confirm_timeout": "a message that cannot be sent now is sent again by a worker",
    "event_dispatcher": "the application has its own",
}


@dataclass(frozen=True)
class Asked:
    """What a caller asked for, checked."""

    call: str
    delay_ms: int
    expires_ms: int  #: 0 for never
    options: Options
    sending: dict[str, Any] = field(default_factory=dict)  #: how to send the first message; nothing of it is kept


#: Celery's tasks that run another task inside their own message, of which the register would know nothing.
_INSIDE = ("celery.map", "celery.starmap", "celery.chunks")


def check_celery_task(name: str, kwargs: Any) -> None:
    """Refuse a task of Celery's own that would run a gated one unregistered; raises UnsupportedOption."""
    inner = kwargs.get("task") if isinstance(kwargs, Mapping) else None
    task = inner.get("task") if isinstance(inner, Mapping) else inner
    if name in _INSIDE and task in registered():
        raise UnsupportedOption(
            f"{name} of {task} is not supported: one message would be many calls, and a lost one could not be sent again; "
            f"make a group: each of its members is a call"
        )


def read(gate: TaskSpec, given: Mapping[str, Any], default_queue: str) -> Asked:
    """Check every option that a caller gave; raises UnsupportedOption with one sentence about the first that is wrong."""
    said = {name: value for name, value in given.items() if not _says_nothing(name, value)}
    for name, own in ({"serializer": "json"} | time_limits(gate)).items():
        if said.get(name) == own:
            del said[name]  # Task.apply_async repeats what the task has
    strange = sorted(said.keys() - _READERS.keys(), key=lambda name: name not in REFUSED)  # what has a reason first
    if strange:
        raise UnsupportedOption(f"{gate.name}: {_why_refused(strange[0])}")
    try:
        read_ones = {name: _READERS[name](value) for name, value in said.items()}
    except UnsupportedOption as error:
        raise UnsupportedOption(f"{gate.name}: {error}") from None
    return _asked(read_ones, default_queue)


def _asked(said: Mapping[str, Any], default_queue: str) -> Asked:
    queue = said.get("queue", "")
    return Asked(
        said.get("task_id") or str(uuid4()),
        max(0, said.get("eta", said.get("countdown", 0))),
        max(1, said["expires"]) if "expires" in said else 0,
        Options("" if queue == default_queue else queue, said.get("priority"), said.get("ignore_result", False)),
        {name: said[name] for name in ("producer", "retry", "add_to_parent") if name in said},
    )


def _says_nothing(name: str, value: Any) -> bool:
    """Whether this is the same as an option that was not given."""
    if name in WITHOUT_EFFECT or value is None:
        return True
    return not value if name in REFUSED or isinstance(value, str | dict | list | tuple) else False


def _why_refused(name: str) -> str:
    if name in REFUSED:
        return f"option {name!r} is not supported: {REFUSED[name]}"
    return f"{name!r} is not an option; supported are: {', '.join(sorted(SUPPORTED))} (docs/celery-options.md)"


def _milliseconds(name: str) -> Callable[[Any], int]:
    """A reader of a moment: seconds from now, a date, or an ISO 8601 text."""

    def read_moment(value: Any) -> int:
        moment = value
        if isinstance(moment, str):
            try:
                moment = datetime.fromisoformat(moment)
            except ValueError:
                raise UnsupportedOption(f"{name}={value!r} is neither seconds nor a date; write 60 or 2026-12-24T18:00:00Z") from None  # fmt: skip
        if isinstance(moment, datetime):
            moment = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
        if isinstance(moment, bool) or not isinstance(moment, int | float) or not math.isfinite(moment):
            raise UnsupportedOption(f"{name}={value!r} is neither seconds nor a date; write 60 or 2026-12-24T18:00:00Z")
        if moment > MAX_SECONDS:
            raise UnsupportedOption(
                f"{name}={value!r} is more than ten years from now; write seconds, or a nearer date"
            )
        return round(max(moment, -MAX_SECONDS) * 1000)

    return read_moment


def _seconds(value: Any) -> int:
    if isinstance(value, str | datetime):
        raise UnsupportedOption(f"countdown={value!r} is not a number of seconds; a date is eta=…")
    return _milliseconds("countdown")(value)


def queue_name(value: Any) -> str:
    """Return the name of a queue; raises UnsupportedOption for what cannot be one."""
    name = value.name if isinstance(value, Queue) else value
    if not isinstance(name, str) or not _QUEUE.fullmatch(name) or name.startswith(_NO_QUEUES):
        raise UnsupportedOption(
            f"queue={name!r} cannot name a queue; use up to 64 letters, digits, and . _ - between them"
        )
    return name


def _priority(value: Any) -> int:
    if type(value) is not int or value not in PRIORITIES:
        raise UnsupportedOption(f"priority={value!r} is not a priority; write a whole number from 0 (first) to 9")
    return value


def _task_id(value: Any) -> str:
    if not known.is_id(value):
        raise UnsupportedOption(
            f"task_id={str(value)[:80]!r} cannot be an id; write up to {known.MAX_ID} printable characters"
        )
    if value.startswith(known.OWN_IDS):
        raise UnsupportedOption(f"task_id={value!r} is an id that the schedule or a webhook gives; take another one")
    return value


def _flag(name: str) -> Callable[[Any], bool]:
    def read_flag(value: Any) -> bool:
        if not isinstance(value, bool):
            raise UnsupportedOption(f"{name}={value!r} is not a flag; write True or False")
        return value

    return read_flag


def _producer(value: Any) -> Producer:
    if not isinstance(value, Producer):
        raise UnsupportedOption(f"producer={value!r} is not a kombu.Producer; leave it out")
    return value


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "countdown": _seconds,
    "eta": _milliseconds("eta"),
    "expires": _milliseconds("expires"),
    "task_id": _task_id,
    "queue": queue_name,
    "priority": _priority,
    "ignore_result": _flag("ignore_result"),
    "retry": _flag("retry"),
    "add_to_parent": _flag("add_to_parent"),
    "producer": _producer,
}

#: Every option that a door takes.
SUPPORTED = frozenset({*_READERS, *FOLLOWERS})
