"""One call per id: what happens when a caller uses an id that is already registered."""

from __future__ import annotations

import json
from typing import TypeGuard
from uuid import UUID

from gatekeeper.errors import IdInUse, InvalidArguments
from gatekeeper.policies.spec import TICK_PREFIX, agents, registered
from state import hints
from state.ledger import Ledger
from state.model import Call, ContentMismatch, Message

#: Characters of a call's id; the longest that Gatehouse makes is that of a webhook's delivery.
MAX_ID = 255
#: The prefixes of ids that Gatehouse itself assigns: to ticks of the schedule, to deliveries of webhooks, and to requests of programs.
OWN_IDS = (TICK_PREFIX, "hook:", "api:")


def is_id(text: object) -> TypeGuard[str]:
    """Return whether this can be the id of a call."""
    return isinstance(text, str) and 0 < len(text) <= MAX_ID and text.isprintable()


def find_agent(ledger: Ledger, call: str, besides: str = "") -> str | None:
    """Return the agent that has a call of this id. Takes one round trip.

    Args:
        ledger: The ledger.
        call: The call's id.
        besides: An agent that is not looked at.

    Returns:
        The agent's name, or None if no other agent has such a call.

    Raises:
        StoreError: Redis does not answer.

    """
    return ledger.agent_of(call, [agent for agent in agents() if agent != besides])


def register(
    call: Call, delay_ms: int = 0, expires_ms: int = 0, digest: str = "", message: Message | None = None
) -> bool:
    """Write the call down as `Ledger.register` does.

    Returns:
        False if this very call was known already.

    Raises:
        InvalidArguments: The id is one that a message cannot carry or a log line cannot show.
        IdInUse: The id belongs to another call, of this agent or of another one.
        ContentMismatch: The same, for a call that was made from something with a digest.

    """
    if not is_id(call.id):
        shown = repr(call.id)
        raise InvalidArguments(
            f"the id of a call is 1 to {MAX_ID} printable characters, not {shown[:60]}{'…' * (len(shown) > 60)}"  # noqa: PLR2004
        )
    try:
        if not _is_random(call.id):  # a look at the other agents is a round trip
            _check_elsewhere(call)
        return Ledger().register(call, delay_ms, expires_ms, digest, message)
    except ContentMismatch as error:
        if digest:
            raise
        if not error.options_only and _means_the_same(call, error):
            return False
        raise IdInUse(str(error)) from error


def _check_elsewhere(call: Call) -> None:
    """Raise ContentMismatch if another agent has a call of this id."""
    agent = find_agent(Ledger(), call.id, besides=call.agent)
    if agent is not None:
        raise ContentMismatch(
            f"the id {call.id} belongs to a call of the agent {agent} already. Nothing was started: give this one an id "
            f"of its own; see: {hints.gatehouse('explain', call.id)}"
        )


def _is_random(call: str) -> bool:
    try:
        return UUID(call).version == 4  # noqa: PLR2004 - the random kind
    except ValueError:
        return False


def _means_the_same(call: Call, known: ContentMismatch) -> bool:
    """Return whether the known call only lacks an argument that the code has gained since, with its default."""
    spec = registered().get(call.task)
    if spec is None or known.task != call.task:
        return False
    try:
        return spec.contract.as_json(spec.contract.bind((), json.loads(known.kwargs))) == call.kwargs
    except InvalidArguments:
        return False
