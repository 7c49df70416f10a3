"""The decision that a host is gone for good: what it held is looked up, or waits for a person, as after a proven death."""

from __future__ import annotations

from typing import Any

from state import hints, host
from state.ledger import Ledger
from state.processes import hosts
from state.processes.hosts import SILENT_HOST_MS, Host
from workers.decisions.by import By, NotDecided, NotFound
from workers.people import all_agents
from workers.readings import hosts as reading


def host_gone(name: str, by: By, *, force: bool = False) -> dict[str, Any]:
    """Say that a host is gone: its claims are taken away, and its processes count as dead in every doubt that they left.

    Args:
        name: The host, or the part of its name that no other host has.
        by: Who decides.
        force: Whether to say so although it gave a sign of life within the last minute.

    Returns:
        `host`, `by`, `why`, and `keys`, each with `agent`, `key`, `before` and `state`.

    Raises:
        NotFound: No host is called that.
        NotDecided: The host lives, or the name fits several.
        JournalUnavailable: The decision cannot be kept.

    """
    ledger, agents = Ledger(), all_agents()
    claims = [each for each in ledger.host_claims(agents) if each.host]
    # Claims first: one that the host makes after this was read is not touched, so it need not be known whether it is back.
    known = hosts.read({each.host for each in claims})
    found = _one(known, name)
    if found.silent_ms is not None and found.silent_ms <= SILENT_HOST_MS and not force:
        raise NotDecided(
            f"{found.name} gave a sign of life {found.silent_ms / 1000:.0f} s ago, so its processes may still send; nothing was "
            "changed. Stop it first and wait a minute, or say --force if you are sure that no process of it runs"
        )
    own = [each for each in claims if host.mark_of(each.host) == found.mark and not each.is_over]
    said = by.said("host-gone", found.name)
    ended = ledger.host_gone(found.mark, found.name, own, said)
    for agent in agents:
        count = sum(each.agent == agent for each in ended)
        ledger.note(agent, by.said("host-gone", found.name), reading.keys_in_words(count), "gone")
    states = {(each.agent, each.key): each.state for each in ended}
    keys = [
        {"agent": each.agent, "key": each.key, "before": each.state, "state": states[each.agent, each.key]}
        for each in own
        if (each.agent, each.key) in states
    ]
    return {"host": found.name, "by": by.name, "why": by.why, "keys": keys}


def _one(known: list[Host], name: str) -> Host:
    """Return the one host that a name means."""
    fits = [each for each in known if name in (each.name, each.mark)] or [
        each for each in known if each.name.startswith(name)
    ]
    names = ", ".join(each.name for each in known) or "none"
    if not fits or not name:
        raise NotFound(f"no host {name!r} is known; there are: {names}; see: {hints.gatehouse('hosts')}")
    if len(fits) > 1:
        several = ", ".join(each.name for each in fits)
        raise NotDecided(f"{name!r} fits {len(fits)} hosts: {several}; nothing was changed: write the whole name")
    return fits[0]
