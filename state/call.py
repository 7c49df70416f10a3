"""A call: one requested run of a task, before anything is decided about it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

#: States of a call that has ended; all others are open.
ENDED = frozenset({"done", "rejected", "cancelled"})
#: Characters of one value in a sentence that says what differs.
MAX_VALUE = 60


@dataclass(frozen=True)
class Call:
    """What every door hands to the gate.

    `kwargs` is JSON text of the validated arguments, `fingerprint` a digest of it; `door` says where the call came in.
    """

    id: str
    agent: str
    task: str
    key: str
    kwargs: str
    fingerprint: str
    door: str
    effect: bool = False  #: its task changes the world outside, so the journal has a record of it
    options: str = ""  #: JSON text of its `state.options.Options`; empty if the caller said nothing


def as_text(arguments: Any) -> str:
    """Return arguments as JSON text, the same text for the same arguments."""
    return json.dumps(arguments, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def difference(call: Call, task: str, kwargs: str) -> str:
    """Say in what a call differs from one that was registered as this task with these arguments (JSON text).

    Returns for example `name: "bob" instead of "ann"`.
    """
    if call.task != task:
        return f"the task: {call.task} instead of {task}"
    mine, registered = _arguments(call.kwargs), _arguments(kwargs)
    names = sorted(name for name in {*mine, *registered} if mine.get(name) != registered.get(name))
    return "; ".join(f"{name}: {_brief(mine.get(name))} instead of {_brief(registered.get(name))}" for name in names)


def _arguments(kwargs: str) -> dict[str, str]:
    """Each argument's name, and its value as JSON text."""
    return {name: as_text(value) for name, value in json.loads(kwargs or "{}").items()}


def _brief(value: str | None) -> str:
    if value is None:
        return "none"
    return value if len(value) <= MAX_VALUE else f"{value[:MAX_VALUE]}…"
