"""The decisions of the ledger about one call that wants to run. A claim lets it run; every other decision does not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from state.model import Claim


@dataclass(frozen=True)
class NeedsLookup:
    """The effect of `claim` is in doubt, and its next look-up at the provider is due."""

    claim: Claim
    knew_death: bool  #: Redis knew that its owner can send nothing any more; a look-up that begins now began after that


@dataclass(frozen=True)
class Replay:
    """The key is done: its stored result, or the flaw of its output."""

    result: str
    flaw: str


@dataclass(frozen=True)
class Refusal:
    """The call may not run. The receipt has the stage, the error and its figures, and `deferred` if it is sent again."""

    receipt: dict[str, Any]
    again: bool = False  #: this call was refused before, and the first answer is repeated

    @property
    def is_deferred(self) -> bool:
        """Return whether the call will be sent again."""
        return bool(self.receipt.get("deferred"))

    @property
    def text(self) -> str:
        """The reason in one line."""
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
    """Redis was restarted, or has another epoch; it must be compared with the journal before any effect."""


@dataclass(frozen=True)
class RegisteredKey:
    """The call was registered under this key; the task's template gives another one today."""

    key: str


def refusal_text(receipt: Mapping[str, Any]) -> str:
    """Return the error of a receipt, and its reason if it names one, in one line."""
    error, why = receipt.get("error"), receipt.get("why")
    return f"{error}: {why}" if why and why != error else str(error)


@dataclass(frozen=True)
class Unregistered:
    """The agent has no registered call with this id."""


@dataclass(frozen=True)
class ArgumentsDiffer:
    """The message differs from the registered call, which is this task with these arguments (JSON text)."""

    task: str
    kwargs: str


@dataclass(frozen=True)
class NotDue:
    """The call's message came early: the call waits until `due_ms`."""

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


def of_answer(answer: list[Any], wanted: Claim) -> Decision:
    """Return the decision about a call from the answer of admit.lua; `wanted` is the claim that was asked for."""
    which = (wanted.agent, wanted.key, wanted.call)
    match answer:
        case [
            "claimed", fence, attempt, now, payload, origin, waits, options, before, fingerprint, sent,
            mode, approved, revision,
        ]:  # fmt: skip
            return Claim(
                *which, wanted.owner, fence, attempt, now, wanted.epoch, payload, origin, bool(waits), options, before,
                fingerprint, mode, approved, revision, wanted.lease_ends_ms, _waited_ms(sent, now),
            )  # fmt: skip
        case ["verify", now, in_doubt, fence, attempt, payload, knew_death]:
            claim = Claim(*which, in_doubt, fence, attempt, now, wanted.epoch, payload)
            return NeedsLookup(claim, bool(knew_death))
    return _without_claim(answer)


def _waited_ms(sent: Any, now_ms: int) -> int | None:
    """Return how long a message waited that was sent at `sent`, or None if there was none; a clock may have been set back."""
    return None if sent == "" else max(0, now_ms - int(sent))


def _without_claim(answer: list[Any]) -> Decision:
    """Return the decision about a call that may not run now."""
    match answer:
        case ["replay", _, result, flaw]:
            return Replay(result, flaw)
        case ["refused" | "deferred" | "ended" as word, _, receipt]:
            return Refusal(json.loads(receipt), again=word == "ended")
        case ["busy", now, holder, fence, lease_ms, held_by]:
            return KeyInUse(holder, fence, lease_ms, held_by, now)
        case ["unchecked", _]:
            return NeedsResync()
        case ["other key", _, key]:
            return RegisteredKey(key)
    return _about_message(answer)


def _about_message(answer: list[Any]) -> Decision:
    """Return the decision about a message that is not the current one of its call."""
    match answer:
        case ["unregistered", _]:
            return Unregistered()
        case ["differs", _, task, kwargs]:
            return ArgumentsDiffer(task, kwargs)
        case ["early", now, due]:
            return NotDue(due, now)
    raise AssertionError(f"admit.lua answered {answer!r}")
