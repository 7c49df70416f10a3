"""Decisions about keys and calls: what became of an effect, whether it may be sent, and whether a call runs again."""

from __future__ import annotations

from typing import Any

from gatekeeper.policies.spec import registered
from gatekeeper.run import revision
from state import hints
from state.agents import history, state_file
from state.ledger import Ledger
from state.ledger.resolve import How, Resolution
from workers import control
from workers.application import app
from workers.decisions.by import By, NotDecided, NotFound
from workers.people import all_agents


def resolve(
    key: str, how: How, by: By, *, agent: str = "", seen: str = "", result: str = "null", force: bool = False
) -> dict[str, Any]:
    """Decide what became of a key.

    Args:
        key: The key, or the id of its call.
        how: What became of it.
        by: Who decides.
        agent: The key's agent, if it is known.
        seen: The version of the key that the person saw; "" is not compared.
        result: JSON text to answer when the key is asked for again; with "applied".
        force: Whether to send it although the process that was sending it may be alive; with "not-applied".

    Returns:
        `key`, `agent`, `state`, `by` and `why`, as `gate resolve --json` prints them.

    Raises:
        NotFound: No agent knows the key.
        Stale: The key is not any more what the person saw.
        NotResolved: The key cannot be resolved that way.
        JournalUnavailable: The decision cannot be kept.

    """
    word = Resolution(how, by.name, by.why, result=result, force=force, seen=seen, door=by.door)
    return _resolve(key, agent, word)


def approve(key: str, by: By, *, agent: str = "", seen: str = "") -> dict[str, Any]:
    """Let a held key run of which nothing was sent. Arguments, answer and errors are those of `resolve`."""
    return _resolve(key, agent, Resolution("approve", by.name, by.why, seen=seen, door=by.door))


def revise(key: str, payload: str, by: By, *, agent: str = "", seen: str = "") -> dict[str, Any]:
    """Send a person's payload instead of one that waits for an approval, or that its provider refused.

    Args:
        key: The key, or the id of its call.
        payload: JSON text. What the key is made of must be the same.
        by: Who decides.
        agent: The key's agent, if it is known.
        seen: The version of the key that the person saw; "" is not compared.

    Returns:
        As `resolve`.

    Raises:
        NotDecided: The payload does not fit its task; the text names the field.
        NotFound, Stale, NotResolved, JournalUnavailable: As `resolve`.

    """
    record = find(key, agent)
    agent, key = record["agent"], record["key"]
    found, spec = Ledger().proposal(agent, key), registered().get(record["task"] or "")
    if found:
        if spec is None:
            raise NotDecided(f"{key}: no task {record['task']!r} is known here, so its payload cannot be checked")
        try:
            payload = revision.check(spec, found.kwargs, found.proposal, payload)
        except revision.RevisionError as error:
            raise NotDecided(str(error)) from None
        seen = seen or found.version
    word = Resolution("revise", by.name, by.why, seen=seen, payload=payload, door=by.door)
    return _resolve(key, agent, word)


def reject(key: str, by: By, *, agent: str = "", seen: str = "") -> dict[str, Any]:
    """Refuse a held key: it is never sent. Arguments, answer and errors are those of `resolve`."""
    return _resolve(key, agent, Resolution("cancel", by.name, by.why, seen=seen, door=by.door, what="reject"))


def replay(call: str, by: By) -> dict[str, Any]:
    """Run a call again that ended without a result; return `call`, `agent` and `state`.

    Raises:
        NotFound: No agent knows the call.
        NotResolved: The call is not over, or it has a result.
        JournalUnavailable: The decision cannot be kept.

    """
    ledger, effects = Ledger(), {name for name, spec in registered().items() if spec.effect}
    owner = next((each for each in all_agents() if ledger.replay(each, call, by.said("replay", call), effects)), None)
    if owner is None:
        raise NotFound(f"no call {call!r} is known; see: {hints.gatehouse('dead')}")
    state_file.write_after_decision(owner)
    return {"call": call, "agent": owner, "state": "waiting"}


def cancel(call: str, by: By) -> str:
    """End a call that has not begun, as a revoke does; return what became of it, in a sentence.

    Raises:
        NotFound: No agent knows the call.
        NotDecided: The call has begun.
        JournalUnavailable: The decision cannot be kept.

    """
    find(call)
    [revoked] = control.cancel(app, [call], by.name)
    if revoked.state in control.BEGUN:
        raise NotDecided(control.describe(revoked))
    if revoked.is_new:
        Ledger().note(revoked.agent, by.said("revoke", call), "", revoked.state)
        state_file.write_after_decision(revoked.agent)
    return control.describe(revoked)


def find(key_or_call: str, agent: str = "") -> dict[str, Any]:
    """Return the record of a key or call, as `history.read_history` does. Raises NotFound."""
    record = history.read_history([agent] if agent else all_agents(), key_or_call)
    if record is None:
        raise NotFound(f"no key {key_or_call!r} is known; see: {hints.gatehouse('held')}")
    return record


def _resolve(key: str, agent: str, resolution: Resolution) -> dict[str, Any]:
    record = find(key, agent)
    agent, key = record["agent"], record["key"]
    state = Ledger().resolve(agent, key, resolution)
    state_file.write_after_decision(agent)
    return {"key": key, "agent": agent, "state": state, "by": resolution.by, "why": resolution.why}
