"""The effect: the part of a task after whose beginning the outcome may be unknown."""

from __future__ import annotations

import json
from collections.abc import Hashable
from functools import cache
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticSerializationError

from gatekeeper.errors import AgentPaused, ClaimLost, EffectError, EffectsClosed, RungTooLow
from gatekeeper.policies import json_values
from gatekeeper.policies.contract import has_secret
from gatekeeper.policies.policy import Rung
from gatekeeper.run import payload_types, permission, tracing
from gatekeeper.run.attempt import Attempt, current
from state import hints
from state.errors import JournalUnavailable

Payload = TypeVar("Payload")

#: A payload is kept for as long as its key; a text of this size belongs in a file, and its digest in the payload.
MAX_PAYLOAD = 1024 * 1024


class effect(Generic[Payload]):  # noqa: N801 - reads as a statement: `with gatekeeper.effect(payload=post) as frozen:`
    """Begin the effect of the running task: `with gatekeeper.effect(payload=post) as frozen:`.

    The block gets the payload that was frozen when an effect of this key first began, or that a person approved; send that
    one, and do nothing else. The effect counts as happened if the block ends without an exception. An exception that proves the opposite
    frees the key; any other leaves the key `unknown`.

    Args:
        payload: What is about to be sent: plain values, a dataclass or a pydantic model without secrets.

    Raises:
        EffectError: The effect cannot be protected: it is not declared, it is the second one, or its payload cannot be
            frozen as JSON.
        AgentPaused: The agent was paused meanwhile; nothing was sent.
        OnlyObserved: The agent only observes; the story has what would have been sent.
        ApprovalNeeded: The agent asks first; a person decides, and then the call runs again. No worker waits.
        EffectsClosed: The effect could not be recorded durably; nothing was sent, and the call waits.
        RungTooLow: The answer was made by a lower rung than the effect accepts; nothing was sent.
        ClaimLost: The key belongs to another attempt by now; nothing was sent.

    """

    def __init__(self, *, payload: Payload) -> None:
        self._payload = payload
        self._type: TypeAdapter[Payload] = adapter_of(cast("Hashable", type(payload)))

    def __enter__(self) -> Payload:
        self._attempt = current()
        mine = self._freeze()
        with self._attempt.beginning:
            _check(self._attempt)
            frozen = self._attempt.claim.payload or self._attempt.claim.approved or mine
            payload = self._type.validate_json(frozen)
            self._attempt.payload_type = payload_types.name_of(type(self._payload))
            permission.check(self._attempt, frozen)
            _begin(self._attempt, frozen)
            self._attempt.wire.begin_effect()
            self._attempt.payload, self._attempt.phase = frozen, "sending"
        self._step = tracing.step("effect")
        self._step.__enter__()
        return payload

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._step.__exit__(kind, error, at)
        if kind is None:
            self._attempt.phase = "applied"
            self._attempt.append_event("applied")

    def _freeze(self) -> str:
        """Return the payload as JSON text; raises EffectError if it would be read back as something else."""
        if _holds_a_secret(cast("Hashable", type(self._payload))):
            raise EffectError(
                "a secret in the payload would be frozen as asterisks; take it from the settings when sending"
            )
        try:
            text = self._dump(self._payload)
            same = self._dump(self._type.validate_json(text)) == text
            if "null" in text and json_values.has_non_finite(self._type.dump_python(self._payload)):
                raise EffectError(f"the payload {json_values.NOT_FINITE}")
        except (ValueError, RecursionError, PydanticSerializationError) as error:
            raise EffectError(f"the payload cannot be frozen as JSON: {error}; give plain values or a model") from None
        if not same:
            raise EffectError(
                "the payload does not survive JSON unchanged; give plain values or a model without secrets"
            )
        if len(text) > MAX_PAYLOAD:
            raise EffectError(f"a payload of {len(text)} characters; at most {MAX_PAYLOAD} are kept with a key")
        return text

    def _dump(self, payload: Payload) -> str:
        return self._type.dump_json(payload, by_alias=True, round_trip=True).decode()


@cache
def adapter_of(kind: Hashable) -> TypeAdapter[Any]:
    """Return what validates payloads of a type and writes them down."""
    return TypeAdapter[Any](kind)  # type: ignore[arg-type]  # lru_cache knows its argument as hashable only


@cache
def _holds_a_secret(kind: Hashable) -> bool:
    is_model = isinstance(kind, type) and issubclass(kind, BaseModel)
    return is_model and has_secret(adapter_of(kind).json_schema())


def made_by(rung: Rung) -> None:
    """Name the rung that made the answer of the running task; the lowest rung that is named counts.

    Raises:
        NoRunningTask: No task is running here.

    """
    attempt = current()
    if attempt.rung is None or rung.is_below(attempt.rung):
        attempt.rung = rung


def _check(attempt: Attempt) -> None:
    effect = attempt.spec.effect
    if effect is None:
        raise EffectError(
            f"{attempt.call.task} begins an effect but declares none; write @gatekeeper.task(effect=Effect())"
        )
    if attempt.stopped is not None:
        raise attempt.stopped
    if attempt.phase != "before":
        raise EffectError(f"{attempt.call.task} begins a second effect; one key protects one effect: use two tasks")
    if attempt.rung is not None and attempt.rung.is_below(effect.accepts):
        raise RungTooLow(
            f"{attempt.call.key}: made by {attempt.rung}, but the effect accepts {effect.accepts} or better"
        )


def _begin(attempt: Attempt, payload: str) -> None:
    attempt.append_event("sending", payload_size=len(payload))
    key, agent = attempt.call.key, attempt.call.agent
    try:
        with tracing.step("begin effect"):
            answer = attempt.ledger.begin_effect(
                attempt.call, attempt.claim, attempt.limits, payload, attempt.take_events()
            )
    except JournalUnavailable as error:
        raise EffectsClosed(f"{key}: nothing was sent: {error}") from error
    match answer:
        case ["sending", _]:
            return
        case ["paused", pause]:
            why: dict[str, Any] = json.loads(pause)
            raise AgentPaused(f"{key}: {agent} was paused by {why['by']} before anything was sent: {why['why']}")
        case ["mode", mode]:
            permission.refuse(attempt, payload, mode)
        case ["closed"]:
            raise EffectsClosed(
                f"{key}: nothing was sent: Redis lost data after the call was admitted; run {hints.gatehouse('recover')}"
            )
        case [_, state]:
            raise ClaimLost(agent, key, f"before anything was sent; the key is {state} now")
    raise AssertionError(f"begin_effect.lua answered {answer!r}")
