"""The options of a call: a short list is supported, and every other option is refused with a reason."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from kombu import Producer, Queue

import settings
from gatekeeper.errors import UnsupportedOption
from gatekeeper.policies.spec import TaskSpec, registered
from gatekeeper.run import known
from server_urls.broker_url import is_amqp
from state.options import Options

#: Seconds: the longest delay. A call that is older than its task's `max_age` is refused in any case.
MAX_SECONDS = 10 * 365 * 86_400
#: The priorities of a message; with Redis as the broker, 0 is served first.
PRIORITIES = range(10)

#: With Redis as the broker a queue is a key of the same name, so its name must not match a key of another kind.
_QUEUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RESERVED = ("unacked", "celery-task-meta-", "celery-taskset-meta-", "celeryev")

#: Options that Celery's own code passes; they are ignored, and never reach a message.
IGNORED = frozenset({"group_id", "group_index", "parent_id", "reply_to", "result_cls", "root_id", "route_name", "task_type"})  # fmt: skip

#: The options that name the calls that follow this one, in the order of the fields of `state.options.Options`.
FOLLOWERS = ("link", "link_error", "chain")
#: The reasons why options of Celery are refused, and those options.
_REASONS = {
    "only the gate writes the headers of a message": "headers",
    "a chord counts messages, and a deferred call has several; make a group, and start the body yourself": "chord",
    "stamps are headers, and only the gate writes headers": "stamped_headers",
    "messages are JSON": "serializer",
    "messages are small and stay readable": "compression",
    "name a queue instead: queue=…": "exchange routing_key exchange_type router declare",
    "the task's decorator sets it: @gatekeeper.task(time_limit=…)": "time_limit soft_time_limit",
    "the task's decorator sets it: @gatekeeper.task(attempts=…)": "retries",
    "a call is not replaced by another one; start that one instead": "replaced_task_nesting",
    "a call is shown under the name of its task": "shadow",
    "arguments are shown unchanged": "argsrepr kwargsrepr",
    "the register records where a call came from": "origin",
    "the application has its own connection to the broker": "connection publisher",
    "a message that cannot be sent now is sent again by a worker": "retry_policy timeout confirm_timeout",
    "the register keeps the call, whatever the broker does with the message": "delivery_mode",
    "use expires=…, which the register keeps": "expiration",
    "the register keeps the call until a worker takes it": "immediate mandatory",
    "the application has its own": "event_dispatcher",
}
#: By option of Celery that is refused: why.
REFUSED = {option: reason for reason, names in _REASONS.items() for option in names.split()}


@dataclass(frozen=True)
class CallOptions:
    """The checked options of one call."""

    call: str  #: the call's id
    delay_ms: int  #: ms from now until it may run
    expires_ms: int  #: ms from now until it expires; 0 for never
    options: Options  #: the options that the register keeps
    sending: dict[str, Any] = field(default_factory=dict)  #: options for sending the first message, which are not kept


#: Celery's tasks that run another task inside their own message, so that its calls are not registered.
_CONTAINERS = ("celery.map", "celery.starmap", "celery.chunks")


def check_celery_task(name: str, kwargs: Any) -> None:
    """Refuse a task of Celery's own that would run a gated task unregistered.

    Args:
        name: The name of the task, such as "celery.map".
        kwargs: Its named arguments.

    Raises:
        UnsupportedOption: It would run a gated task.

    """
    inner = kwargs.get("task") if isinstance(kwargs, Mapping) else None
    task = inner.get("task") if isinstance(inner, Mapping) else inner
    if name in _CONTAINERS and task in registered():
        raise UnsupportedOption(
            f"{name} of {task} is not supported: one message would be many calls, and a lost one could not be sent again; "
            f"make a group: each of its members is a call"
        )


def read(spec: TaskSpec, given: Mapping[str, Any], default_queue: str) -> CallOptions:
    """Check every option of a call.

    Args:
        spec: The task.
        given: The options, by name, as the caller gave them.
        default_queue: The name of the queue that a call goes to without the option `queue`.

    Raises:
        UnsupportedOption: One option is not supported or has a wrong value; the error explains the first such option.

    """
    present = {
        name: value
        for name, value in given.items()
        if value is not None
        and name not in IGNORED
        and (value or not (name in REFUSED or isinstance(value, str | dict | list | tuple)))  # empty means absent
    }
    for name, own in ({"serializer": "json"} | spec.time_limits).items():
        if present.get(name) == own:
            del present[name]  # Task.apply_async repeats the task's own options
    # Options with a reason of their own come first.
    refused = sorted(present.keys() - _READERS.keys(), key=lambda name: name not in REFUSED)
    if refused:
        raise UnsupportedOption(f"{spec.name}: {_why_refused(refused[0])}")
    try:
        values = {name: _READERS[name](name, value) for name, value in present.items()}
    except UnsupportedOption as error:
        raise UnsupportedOption(f"{spec.name}: {error}") from None
    return _call_options(values, default_queue)


def _call_options(values: Mapping[str, Any], default_queue: str) -> CallOptions:
    queue = values.get("queue", "")
    return CallOptions(
        values.get("task_id") or str(uuid4()),
        max(0, values.get("eta", values.get("countdown", 0))),
        max(1, values["expires"]) if "expires" in values else 0,
        Options("" if queue == default_queue else queue, values.get("priority"), values.get("ignore_result", False)),
        {name: values[name] for name in ("producer", "retry", "add_to_parent") if name in values},
    )


def _why_refused(name: str) -> str:
    if name in REFUSED:
        return f"option {name!r} is not supported: {REFUSED[name]}"
    return f"{name!r} is not an option; supported are: {', '.join(sorted(SUPPORTED))} (docs/celery-options.md)"


def _milliseconds(name: str, value: Any) -> int:
    """Return a time as ms from now: of seconds, a date, or an ISO 8601 text."""
    wrong = UnsupportedOption(f"{name}={value!r} is neither seconds nor a date; write 60 or 2026-12-24T18:00:00Z")
    seconds = value
    if isinstance(seconds, str):
        try:
            seconds = datetime.fromisoformat(seconds)
        except ValueError:
            raise wrong from None
    if isinstance(seconds, datetime):
        seconds = (seconds.replace(tzinfo=seconds.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        raise wrong
    if seconds > MAX_SECONDS:
        raise UnsupportedOption(f"{name}={value!r} is more than ten years from now; write seconds, or a nearer date")
    return round(max(seconds, -MAX_SECONDS) * 1000)


def _seconds(name: str, value: Any) -> int:
    if isinstance(value, str | datetime):
        raise UnsupportedOption(f"{name}={value!r} is not a number of seconds; a date is eta=…")
    return _milliseconds(name, value)


def queue_name(value: Any) -> str:
    """Return the name of a queue, given as text or as a kombu.Queue. Raises UnsupportedOption if it is not allowed."""
    name = value.name if isinstance(value, Queue) else value
    if not isinstance(name, str) or not _QUEUE.fullmatch(name) or name.startswith(_RESERVED):
        raise UnsupportedOption(
            f"queue={name!r} cannot name a queue; use up to 64 letters, digits, and . _ - between them"
        )
    return name


def _queue(_name: str, value: Any) -> str:
    return queue_name(value)


def _priority(name: str, value: Any) -> int:
    if type(value) is not int or value not in PRIORITIES:
        raise UnsupportedOption(f"{name}={value!r} is not a priority; write a whole number from 0 (first) to 9")
    if is_amqp(settings.current().broker_url):
        raise UnsupportedOption(
            f"{name}={value!r}: a queue of RabbitMQ is first in, first out; name a queue that has workers of its own: queue=…"
        )
    return value


def _task_id(name: str, value: Any) -> str:
    if not known.is_id(value):
        raise UnsupportedOption(
            f"{name}={str(value)[:80]!r} cannot be an id; write up to {known.MAX_ID} printable characters"
        )
    if value.startswith(known.OWN_IDS):
        raise UnsupportedOption(
            f"{name}={value!r} is an id of a tick or of a webhook delivery or API request; take another one"
        )
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UnsupportedOption(f"{name}={value!r} is not a flag; write True or False")
    return value


def _producer(name: str, value: Any) -> Producer:
    if not isinstance(value, Producer):
        raise UnsupportedOption(f"{name}={value!r} is not a kombu.Producer; leave it out")
    return value


#: By option: reads its value, given with its name for the error message.
_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "countdown": _seconds,
    "eta": _milliseconds,
    "expires": _milliseconds,
    "task_id": _task_id,
    "queue": _queue,
    "priority": _priority,
    "ignore_result": _flag,
    "retry": _flag,
    "add_to_parent": _flag,
    "producer": _producer,
}

#: Every supported option.
SUPPORTED = frozenset({*_READERS, *FOLLOWERS})
