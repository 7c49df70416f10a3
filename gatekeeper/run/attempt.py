"""The attempt under way: what the running task asks and reports, gathered until the attempt settles."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from gatekeeper.errors import NoRunningTask, Refused
from gatekeeper.policies.policy import Rung
from gatekeeper.policies.spec import TaskSpec
from gatekeeper.run import http_guard
from gatekeeper.run.http_guard import Wire
from state.agents import measures
from state.ledger import Ledger
from state.model import AttemptResult, Call, CallLimits, Claim, FactChange, Proposal

#: A history keeps this many events of one attempt, the first and the newest; the log has them all.
MAX_EVENTS = 100
#: So many of them are the first.
FIRST_EVENTS = 30
#: Seconds. An attempt whose effect began waits this long for Redis to come back: longer than a restart takes.
PATIENCE = 60.0
#: Made once: `json.dumps` with options makes an encoder for each event.
_ENCODE = json.JSONEncoder(ensure_ascii=False, default=str).encode
#: The total that an outcome adds to; every other outcome counts as a failure.
_TOTALS = {"done": "total_done", "refused": "total_refused", "asked": "total_asked"}


@dataclass
class Attempt:
    """One execution of a call. `phase` is how far its effect is: `before`, `sending` or `applied`."""

    spec: TaskSpec
    arguments: dict[str, Any]
    call: Call
    claim: Claim
    ledger: Ledger
    limits: CallLimits
    phase: str = "before"
    payload: str = ""  #: JSON text that was frozen when the effect began
    payload_type: str = ""  #: of the payload, by which a person's edit of it is validated
    proposal: Proposal | None = None  #: what was not sent, because the agent observes or asks
    stopped: Refused | None = None  #: why; it ends the attempt, whatever the task makes of the exception
    wire: Wire = field(default_factory=Wire)
    beginning: Lock = field(default_factory=Lock)  #: held while the effect begins
    rung: Rung | None = None
    facts: dict[tuple[str, ...], FactChange] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)  #: that models charged, by provider
    estimated_tokens: int = 0  #: those that providers did not report
    counted_tokens: int = 0  #: of both together, how many its budgets have counted
    requests: dict[str, int] = field(default_factory=dict)  #: what its requests to other services add to the measures
    events: list[str] = field(default_factory=list)
    left_out: int = 0  #: how many events are missing between the first and the newest
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed_ms(self) -> int:
        return round((time.monotonic() - self.started) * 1000)

    @property
    def patience(self) -> float:
        """Seconds to wait for a store that is away, as far as the lease allows.

        To give up would leave an effect in doubt. Before the effect nothing is lost if the whole call waits.
        """
        return 0.0 if self.phase == "before" else min(PATIENCE, self.wire.left_ms / 1000)

    def append_event(self, event: str, **fields: Any) -> None:
        """Add an event to the history of the key, dated by the server's clock."""
        at = self.claim.admitted_ms + self.elapsed_ms
        text = _ENCODE({"at": at, "event": event, **fields})
        self.events.append(text.encode(errors="replace").decode())
        if len(self.events) > MAX_EVENTS:
            self._leave_out()

    def count_request(self, service: str, outcome: str, ms: int) -> None:
        """Count a request to another service; what it adds is settled with the attempt."""
        name = measures.of_request(service, outcome, ms)
        self.requests[name] = self.requests.get(name, 0) + 1

    def take_events(self) -> list[str]:
        """Return the pending events, which are then not pending any more."""
        events, self.events, self.left_out = self.events, [], 0
        return events

    def completed(self, result: AttemptResult) -> tuple[AttemptResult, dict[str, Any]]:
        """Return the result with everything that the attempt gathered, and the fields of its log line.

        The pending events are taken, with the result as the last of them.
        """
        ms, is_done = self.elapsed_ms, result.outcome == "done"
        fields: dict[str, Any] = {"ms": ms, "attempt": self.claim.attempt}
        fields |= ({"error": result.error} if result.error else {}) | result.receipt
        fields |= {} if result.retry_ms is None else {"retry_after": result.retry_ms / 1000}
        remembered = {"remembered": ["/".join(path) for path in self.facts]} if is_done and self.facts else {}
        self.append_event(result.outcome, **fields, **remembered)
        totals = {"total_deferred" if result.waits else _TOTALS.get(result.outcome, "total_failed"): 1}
        complete = replace(
            result,
            ms=ms,
            payload=self.payload,
            proposal=self.proposal or (Proposal("", self.payload_type) if self.payload else None),
            effect_began=self.phase != "before",
            effect_happened=self.phase == "applied",
            facts=tuple(self.facts.values()) if is_done else (),
            counters=(self.counters if is_done else {})
            | {f"tokens_{provider}": tokens for provider, tokens in self.tokens.items()}
            | totals
            | ({"total_flawed": 1} if result.flaw else {}),
            measure=measures.of_attempt(self.call.task, _word_of(result), ms, self.claim.waited_ms),
            requests=self.requests,
            events=self.take_events(),
        )
        return complete, fields

    def _leave_out(self) -> None:
        """Replace the oldest event behind the first ones by their number, as history.lua.inc does."""
        places = 1 if self.left_out else 2  # the number itself takes a place
        self.left_out += places
        at = json.loads(self.events[FIRST_EVENTS + 1])["at"]
        number = json.dumps({"at": at, "event": "left out", "events": self.left_out})
        self.events[FIRST_EVENTS : FIRST_EVENTS + 2] = [number]


def _word_of(result: AttemptResult) -> str:
    """Return the word by which the measures know this end."""
    if result.waits:
        return "waiting"
    if result.outcome == "done" and result.flaw:
        return "flawed"
    return "retried" if result.outcome == "failed" and result.retry_ms is not None else result.outcome


_current: ContextVar[Attempt | None] = ContextVar("attempt", default=None)


def current() -> Attempt:
    """Return the running attempt; raises NoRunningTask outside one."""
    attempt = _current.get()
    if attempt is None:
        raise NoRunningTask("no task is running here; call this inside a function that carries @gatekeeper.task")
    return attempt


def current_or_none() -> Attempt | None:
    """Return the running attempt, or None outside a task."""
    return _current.get()


@contextmanager
def running(attempt: Attempt) -> Iterator[None]:
    """Make an attempt the current one inside the block."""
    attempt.wire.parent = http_guard.current.get()
    tokens = _current.set(attempt), http_guard.current.set(attempt.wire)
    try:
        yield
    finally:
        http_guard.current.reset(tokens[1])
        _current.reset(tokens[0])
