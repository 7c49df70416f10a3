"""The attempt under way: what the running task may ask and tell, gathered until it settles."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeVar

from gatekeeper.errors import NoRunningTask
from gatekeeper.policies.policy import Effect, Rung
from gatekeeper.run import http_guard as wire
from gatekeeper.run.http_guard import Wire
from state.agents.facts import FactChange
from state.ledger import Ledger
from state.model import Call, CallLimits, Claim
from state.redis import client

#: A story keeps this many events of one attempt, the first and the newest; the log has them all.
MAX_EVENTS = 100
#: So many of them are the first.
FIRST_EVENTS = 30
#: Seconds. An attempt behind the line, or at its end, waits this long for Redis to come back: longer than a restart takes.
PATIENCE = 60.0

Result = TypeVar("Result")


@dataclass
class Attempt:
    """One execution of a call. `line` is where it stands: before, `sending` or `applied`."""

    call: Call
    claim: Claim
    ledger: Ledger
    terms: CallLimits
    effect: Effect | None = None
    line: str = "before"
    payload: str = ""  #: JSON text: what was frozen when the line was crossed
    wire: Wire = field(default_factory=Wire)
    crossing: Lock = field(default_factory=Lock)
    rung: Rung | None = None
    facts: dict[tuple[str, ...], FactChange] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    left_out: int = 0  #: how many of the events told so far are missing between the first and the newest
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed_ms(self) -> int:
        return round((time.monotonic() - self.started) * 1000)

    def tell(self, event: str, **fields: Any) -> None:
        """Add an event to the key's story, dated by the server's clock."""
        at = self.claim.admitted_ms + self.elapsed_ms
        text = json.dumps({"at": at, "event": event, **fields}, ensure_ascii=False, default=str)
        self.events.append(text.encode(errors="replace").decode())
        if len(self.events) > MAX_EVENTS:
            self._leave_out()

    def _leave_out(self) -> None:
        """Leave the oldest event behind the first ones out, and say in its place how many there were, as history.lua.inc does."""
        places = 1 if self.left_out else 2  # the sentence itself takes a place
        self.left_out += places
        at = json.loads(self.events[FIRST_EVENTS + 1])["at"]
        told = json.dumps({"at": at, "event": "left out", "events": self.left_out})
        self.events[FIRST_EVENTS : FIRST_EVENTS + 2] = [told]

    def patiently(self, ask_store: Callable[[], Result]) -> Result:
        """Ask the store; behind the line, wait for one that is away, as long as the lease allows.

        Giving up there would leave the effect in doubt. Before the line nothing is lost if the whole call waits.
        """
        if self.line == "before":
            return ask_store()
        return client.retry_while_unavailable(ask_store, min(PATIENCE, self.wire.left_ms / 1000))

    def take_events(self) -> list[str]:
        """The events told so far, which are then no longer pending."""
        events, self.events, self.left_out = self.events, [], 0
        return events


_current: ContextVar[Attempt | None] = ContextVar("attempt", default=None)


def current() -> Attempt:
    """The running attempt; raises NoRunningTask outside one."""
    attempt = _current.get()
    if attempt is None:
        raise NoRunningTask("no task is running here; call this inside a function that carries @gatekeeper.task")
    return attempt


def current_or_none() -> Attempt | None:
    """The running attempt, or None outside a task."""
    return _current.get()


class running:  # noqa: N801 - reads as a statement: `with running(attempt):`
    """Make an attempt the current one for a while."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def __enter__(self) -> None:
        self._attempt.wire.parent = wire.current.get()
        self._tokens = _current.set(self._attempt), wire.current.set(self._attempt.wire)

    def __exit__(self, *_: object) -> None:
        attempt, sent = self._tokens
        wire.current.reset(sent)
        _current.reset(attempt)
