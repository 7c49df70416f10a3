"""The records that pass between the rooms: a call, and what the ledger decides about it. Times are milliseconds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, overload

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


def canonical_json(arguments: Any) -> str:
    """Return arguments as JSON text, the same text for the same arguments."""
    return json.dumps(arguments, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def describe_difference(call: Call, task: str, kwargs: str) -> str:
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
    return {name: canonical_json(value) for name, value in json.loads(kwargs or "{}").items()}


def _brief(value: str | None) -> str:
    if value is None:
        return "none"
    return value if len(value) <= MAX_VALUE else f"{value[:MAX_VALUE]}…"


class ContentMismatch(ValueError):
    """Raised when the id of a call is known already, but for other content.

    `task` and `kwargs` (JSON text) are what the known call was registered as. With `options_only` it has the same task
    and the same arguments.
    """

    def __init__(self, message: str, task: str = "", kwargs: str = "{}", *, options_only: bool = False) -> None:
        super().__init__(message)
        self.task, self.kwargs, self.options_only = task, kwargs, options_only


@dataclass(frozen=True)
class CallLimits:
    """The policy of one task as the scripts read it, and the keys it touches for one call's arguments.

    `verify` is how to prove that an effect did not happen, as begin_effect.lua reads it; empty where nobody can ask.
    """

    policy: str
    lease_ms: int
    breaker: str
    caps: tuple[str, ...] = ()
    rates: tuple[str, ...] = ()
    verify: str = ""


@dataclass(frozen=True)
class Claim:
    """The right to run one key, held by one owner under one fence."""

    agent: str
    key: str
    call: str
    owner: str
    fence: int
    attempt: int
    admitted_ms: int
    epoch: str = ""  #: of the ledger that the claim was made in; empty for a task without an effect
    payload: str = ""  #: JSON text that an earlier attempt froze
    door: str = ""  #: where the call came in, which its message does not tell
    waits: bool = False  #: nobody would ask again, so a pause may only delay it
    options: str = ""  #: JSON text, as the call was registered with
    waits_before: int = 0  #: how often in a row this call was put off because its service could not take it
    fingerprint: str = ""  #: of the arguments that were registered; an argument may have been added in the code since


@dataclass(frozen=True)
class NeedsLookup:
    """Whether the effect happened is unknown, and it is time to ask the provider. `claim` is the attempt in doubt."""

    claim: Claim


@dataclass(frozen=True)
class Replay:
    """The key is done: here is its stored result, or the flaw that its output had."""

    result: str
    flaw: str


@dataclass(frozen=True)
class Refusal:
    """The call may not run; the receipt has stage, error and the numbers. `deferred` when it will be sent again."""

    receipt: dict[str, Any]
    again: bool = False  #: this call was refused before; the first answer is repeated

    @property
    def words(self) -> str:
        """Why, in one line."""
        return refusal_text(self.receipt)


@dataclass(frozen=True)
class KeyInUse:
    """Another attempt holds the key."""

    owner: str
    fence: int
    lease_ms: int  #: until when, by the server's clock
    call: str
    now_ms: int


@dataclass(frozen=True)
class NeedsResync:
    """Redis was started anew, or has another epoch; before any effect it is compared with the journal."""


@dataclass(frozen=True)
class RegisteredKey:
    """The call was registered under this key, which the task's template would not give it today."""

    key: str


def refusal_text(receipt: Mapping[str, Any]) -> str:
    """What a receipt says, in one line: the error, and what it stands for if it names that."""
    error, why = receipt.get("error"), receipt.get("why")
    return f"{error}: {why}" if why and why != error else str(error)


@dataclass(frozen=True)
class Unregistered:
    """Nobody registered a call of this id with this agent."""


@dataclass(frozen=True)
class ArgumentsDiffer:
    """The message is not what its id was registered as, which is this task with these arguments (JSON text)."""

    task: str
    kwargs: str


@dataclass(frozen=True)
class NotDue:
    """The call waits until `due_ms`; its message came before that."""

    due_ms: int
    now_ms: int


Decision = (
    Claim
    | NeedsLookup
    | Replay
    | Refusal
    | KeyInUse
    | NeedsResync
    | RegisteredKey
    | Unregistered
    | ArgumentsDiffer
    | NotDue
)


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
