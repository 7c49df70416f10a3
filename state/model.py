"""The records that all rooms share: a call, its limits, its claim, and the ledger's decisions. Times are milliseconds."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from pydantic_core import PydanticSerializationError, to_json

#: The states of a call that has ended; all other states are open.
ENDED = frozenset({"done", "rejected", "cancelled"})


@dataclass(frozen=True)
class Call:
    """One requested run of a task, before anything is decided about it.

    `kwargs` is JSON text of the validated arguments, `fingerprint` a digest of it; `origin` says where the call came in.
    """

    id: str
    agent: str
    task: str
    key: str
    kwargs: str
    fingerprint: str
    origin: str
    effect: bool = False  #: its task changes the world outside, so the journal records it
    options: str = ""  #: JSON text of its `state.options.Options`; empty if the caller set none

    @classmethod
    def stored(cls, agent: str, id: str, fields: Mapping[str, str]) -> Call:  # noqa: A002
        """Return the call whose hash in Redis has these fields."""
        names = ("task", "key", "kwargs", "fingerprint", "door", "options")
        task, key, kwargs, fingerprint, origin, options = (fields.get(name, "") for name in names)
        return cls(id, agent, task, key, kwargs or "{}", fingerprint, origin, options=options)

    def script_arguments(self) -> dict[str, str]:
        """Return the arguments of scripts that say what the call is."""
        return {
            "call": self.id,
            "task": self.task,
            "key": self.key,
            "kwargs": self.kwargs,
            "fingerprint": self.fingerprint,
            "origin": self.origin,
        }

    def log_fields(self) -> dict[str, str]:
        """Return what every log line of the call names."""
        return {"agent": self.agent, "task": self.task, "call": self.id, "key": self.key}


class Message(NamedTuple):
    """A message of the broker: the list in Redis that it goes into, and its text."""

    queue: str
    text: str


class ContentMismatch(ValueError):
    """Raised when the id of a call is already registered with other content.

    `task` and `kwargs` (JSON text) are those of the registered call. With `options_only` they do not differ.
    """

    def __init__(self, message: str, task: str = "", kwargs: str = "{}", *, options_only: bool = False) -> None:
        super().__init__(message)
        self.task, self.kwargs, self.options_only = task, kwargs, options_only


@dataclass(frozen=True)
class CallLimits:
    """The policy of one task as the scripts read it, and the Redis keys that one call's arguments select.

    `verify` says how to prove that an effect did not happen, as begin_effect.lua reads it; empty if there is no way.
    """

    policy: str
    lease_ms: int
    breaker: str
    caps: tuple[str, ...] = ()
    rates: tuple[str, ...] = ()
    verify: str = ""
    budgets: tuple[str, ...] = ()

    def script_arguments(self) -> dict[str, Any]:
        """Return the arguments of scripts that say what the policy is; its JSON text only if it has a limit."""
        return dict(_arguments_of(self.policy))


@lru_cache(maxsize=256)  # one text per task
def _arguments_of(policy: str) -> dict[str, Any]:
    read = json.loads(policy)
    has_limits = read["caps"] or read["rates"] or "breaker" in read or "budgets" in read
    times = {name: read[name] for name in ("max_age_ms", "keep_ms", "done_ms")}
    return {**times, "policy": policy if has_limits else ""}


@dataclass(frozen=True)
class Claim:
    """The right to run one key, held by one owner under one fence."""

    agent: str
    key: str
    call: str
    owner: str
    fence: int
    attempt: int = 0
    admitted_ms: int = 0
    epoch: str = ""  #: of the ledger that the claim was made in; empty for a task without an effect
    payload: str = ""  #: JSON text that an earlier attempt froze
    origin: str = ""  #: where the call came in; its message does not carry this
    waits: bool = False  #: no caller would ask again, so a pause may only delay the call
    options: str = ""  #: JSON text of the options with which the call was registered
    waits_before: int = 0  #: how many times in a row the call was deferred because its service was unavailable
    fingerprint: str = ""  #: of the registered arguments; the code may have gained an argument since
    mode: str = "act"  #: of the agent, as it was admitted; the effect compares it again
    approved: str = ""  #: JSON text that a person approved: the only one that may be sent
    revision: int = 0  #: of the newest text that a person was asked about
    lease_ends_ms: float = math.inf  #: since boot of this machine, as it was admitted; the heartbeat renews the lease
    waited_ms: int | None = None  #: how long its message waited in the queue; None if it had none

    def script_arguments(self) -> dict[str, Any]:
        """Return the arguments of scripts that say which claim it is."""
        return {"key": self.key, "call": self.call, "owner": self.owner, "fence": self.fence}


@dataclass(frozen=True)
class FactChange:
    """One change to an agent's facts, applied when the attempt settles; `value` is JSON text, None removes."""

    path: tuple[str, ...]
    value: str | None
    collection: str = ""


@dataclass(frozen=True)
class Proposal:
    """A payload about which a person decides before anything is sent; `text` is JSON."""

    text: str
    type: str  #: `module:QualName`, by which an edited payload is validated
    revision: int = 1  #: counted up with each request and each edit of a key
    expires_ms: int = 0  #: when the request for an approval ends by itself, in ms since 1970; 0: it is not a request

    @property
    def digest(self) -> str:
        return digest(self.text)


def digest(text: str) -> str:
    """Return 16 hexadecimal digits by which a person recognises a payload."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


def stored_result(result: str, rung: str | None = None) -> str:
    """Return what the ledger stores of a success, as JSON text; `result` is JSON text already."""
    return f'{{"result":{result},"rung":{"null" if rung is None else json.dumps(rung)}}}'


def _json(value: Any) -> bytes:
    """Return JSON text as the scripts and Redis take it; lone surrogates are escaped."""
    try:
        return to_json(value)
    except PydanticSerializationError:
        return json.dumps(value).encode()


Outcome = Literal["done", "failed", "refused", "unknown", "asked"]
#: Characters of an error in the event stream, which keeps about a thousand events of each agent.
MAX_SUMMARY_ERROR = 200


@dataclass(frozen=True)
class AttemptResult:
    """The end of one attempt. What it remembered and counted is kept only if it is `done`, but for the tokens it spent."""

    outcome: Outcome
    result: str = ""  #: JSON text; empty if there is none
    flaw: str = ""  #: JSON text: what is wrong with an answer that came
    error: str = ""
    retry_ms: int | None = None  #: ms after which the call asks again; None: it is over
    receipt: dict[str, Any] = field(default_factory=dict)  #: of a refusal, or of a failure that is waited out
    waits: bool = False  #: it failed without effect for a reason that passes: not an attempt of the call
    look_ms: int = 0  #: ms for which the provider wants to be left alone before it is asked
    payload: str = ""  #: JSON text that was frozen, if an effect began
    proposal: Proposal | None = None  #: of an effect for which a person is asked, or the text of one that is over
    effect_began: bool = False
    effect_happened: bool = False
    facts: Sequence[FactChange] = ()
    counters: Mapping[str, int] = field(default_factory=dict)
    measure: str = ""  #: the counter of /metrics that it adds to; see state/agents/measures.py
    requests: Mapping[str, int] = field(default_factory=dict)  #: likewise for its requests, and how many there were
    events: Sequence[str] = ()  #: for the history of the key, as JSON texts
    ms: int = 0  #: how long the attempt took

    def script_arguments(self, call: Call, claim: Claim) -> dict[str, Any]:
        """Return the arguments of settle.lua that say how the attempt ended."""
        which = {"task": call.task, "key": claim.key}
        stage = {"stage": self.receipt["stage"]} if self.receipt else {}
        error = {"error": self.error[:MAX_SUMMARY_ERROR]} if self.error else {}
        summary = {
            "outcome": self.outcome,
            **which,
            "call": call.id,
            **stage,
            "ms": self.ms,
            "attempt": claim.attempt,
            **error,
        }
        listed = {"at": claim.admitted_ms + self.ms, **which, "call": call.id, "error": self.error}
        return {
            "outcome": self.outcome,
            "result": self.result,
            "flaw": self.flaw,
            "error": json.dumps(listed) if self.error else "",
            "retry_ms": "" if self.retry_ms is None else self.retry_ms,
            "effect_happened": int(self.effect_happened),
            "counters": _json(dict(self.counters)),
            "measure": self.measure,
            "requests": _json(dict(self.requests)) if self.requests else "",
            "summary": _json(summary),
            "answer": ""
            if self.outcome == "done"
            else json.dumps(self.receipt or {"error": self.error, "stage": "task"}),
            "payload": self.payload,
            "waits": int(self.waits),
            "look_ms": self.look_ms,
            "proposal": self.proposal.text if self.proposal else "",
            "proposal_type": self.proposal.type if self.proposal else "",
            "expires_ms": self.proposal.expires_ms if self.proposal else 0,
            "events": self.events,
        }
