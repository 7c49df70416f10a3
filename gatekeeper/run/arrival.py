"""The arrival of a call at this worker. Its message is only a hint: what is registered under its id counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from gatekeeper.policies import json_values
from gatekeeper.redact import clean
from gatekeeper.run import known
from state.decision import ArgumentsDiffer, NotDue
from state.formatting import describe_difference
from state.ledger import Ledger
from state.model import Call, Claim

log = structlog.get_logger("gatehouse.gate")

#: The origin of a call that was never registered: another program put its message into the broker.
MESSAGE = "message"
#: The header in which the worker keeps when a message expires, in ms since 1970; Celery would end its call by itself.
EXPIRES = "gatehouse_expires_ms"


class NotThisCall(Exception):
    """Raised for a message that is refused without touching the call whose id it carries."""


@dataclass(frozen=True)
class Arrival:
    """The facts about a message that admission needs; the defaults are those of a direct call, which has none.

    `sent` are the arguments as the message carries them, or "" if they are positional or not JSON. `checked` says that no
    other agent has a call of this id. `expires_ms` is when a call that is not registered is too old.
    """

    sent: str = ""
    checked: bool = True
    expires_ms: int | None = None

    @classmethod
    def of_message(cls, args: Sequence[Any], kwargs: Mapping[str, Any], expires_ms: int | None) -> Arrival:
        """Return the arrival of a message with these arguments."""
        try:
            sent = "" if args else json_values.dumps(kwargs, in_message=True)
        except json_values.NotJson:
            sent = ""  # no call was registered with such arguments
        return cls(sent, checked=False, expires_ms=expires_ms)

    def check_elsewhere(self, ledger: Ledger, call: Call) -> Arrival:
        """Check that a call that is not registered with this agent may have this id; raises NotThisCall if not.

        It may not be another agent's, nor one that only beat or the web process registers: the tick or the delivery
        that comes later would be taken for this one.
        """
        if call.id.startswith(known.OWN_IDS):
            raise refusal(call, "its id, which only beat or a webhook registers")
        agent = known.find_agent(ledger, call.id, besides=call.agent)
        if agent is not None:
            raise refusal(call, f"the agent: {call.agent} instead of {agent}")
        return replace(self, checked=True)

    def registered(self, call: Call, claim: Claim) -> Call:
        """Return the call as it was registered; an argument may have been added to the code since."""
        if claim.fingerprint in {"", call.fingerprint}:
            return call
        return replace(call, kwargs=self.sent, fingerprint=claim.fingerprint)


#: How a call arrives that is made right here.
DIRECT = Arrival()


def differs(call: Call, found: ArgumentsDiffer) -> NotThisCall:
    """Log that a message is not what its id was registered as; returns what to raise."""
    return refusal(
        call, describe_difference(call, found.task, found.kwargs) or "its arguments are not those of the register"
    )


def early(call: Call, found: NotDue) -> NotThisCall:
    """Log that a message came before its call's time; returns what to raise."""
    seconds = (found.due_ms - found.now_ms) / 1000
    log.warning("message early", agent=call.agent, task=call.task, call=call.id, due_in=seconds)
    return NotThisCall(f"call {call.id} waits for another {seconds:g} s; it is sent again then")


def refusal(call: Call, what: str) -> NotThisCall:
    """Log that a message is refused; returns what to raise."""
    words = clean(what)
    log.error(
        "message refused", agent=call.agent, task=call.task, call=call.id, differs=words,
        next="the call of this id goes on as it was registered; find out which program writes into the broker",
    )  # fmt: skip
    return NotThisCall(f"a message of {call.task} carries the id of call {call.id}, but differs in {words}")
