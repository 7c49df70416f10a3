"""The text form of values: canonical JSON, ISO 8601 times, and the difference between two calls."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, overload

from state.model import Call

#: Characters of one value in the description of a difference.
MAX_VALUE = 60


@overload
def iso(ms: float | str, timespec: str = ...) -> str: ...
@overload
def iso(ms: None, timespec: str = ...) -> None: ...
@overload
def iso(ms: float | str | None, timespec: str = ...) -> str | None: ...
def iso(ms: float | str | None, timespec: str = "milliseconds") -> str | None:
    """Return a time in milliseconds since 1970 as ISO 8601 text in UTC; None for None."""
    if ms is None:
        return None
    return datetime.fromtimestamp(float(ms) / 1000, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def from_iso(text: str) -> int:
    """Return an ISO 8601 time in milliseconds since 1970; the reverse of `iso`."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


#: An encoder made once; `json.dumps` makes one for each call that is not of its defaults.
_CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def canonical_json(arguments: Any) -> str:
    """Return arguments as JSON text; equal arguments give equal texts."""
    return _CANONICAL.encode(arguments)


def describe_difference(call: Call, task: str, kwargs: str) -> str:
    """Return in what a call differs from the registered one, for example `name: "bob" instead of "ann"`.

    Args:
        call: The call.
        task: The registered task.
        kwargs: JSON text of the registered arguments.

    """
    if call.task != task:
        return f"the task: {call.task} instead of {task}"
    mine, registered = _arguments(call.kwargs), _arguments(kwargs)
    names = sorted(name for name in {*mine, *registered} if mine.get(name) != registered.get(name))
    return "; ".join(f"{name}: {_brief(mine.get(name))} instead of {_brief(registered.get(name))}" for name in names)


def _arguments(kwargs: str) -> dict[str, str]:
    """Return the name of each argument, and its value as JSON text."""
    return {name: canonical_json(value) for name, value in json.loads(kwargs or "{}").items()}


def _brief(value: str | None) -> str:
    if value is None:
        return "none"
    return value if len(value) <= MAX_VALUE else f"{value[:MAX_VALUE]}…"
