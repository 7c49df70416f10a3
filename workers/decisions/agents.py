"""Decisions about agents: pause, resume, how far they may go, and that their ledger was rebuilt."""

from __future__ import annotations

from collections.abc import Iterable

from gatekeeper.policies.spec import agents
from state.agents import state_file
from state.agents.audit import Said
from state.agents.autonomy import Mode
from state.ledger import Ledger
from workers.decisions.by import By, NotFound


def pause(agent: str, by: By) -> bool:
    """Let nothing of an agent start until it is resumed; return False if it was paused already. Raises NotFound."""
    _check_agent(agent)
    return _pause(agent, by.said("pause"))


def resume(agent: str, by: By) -> bool:
    """Let an agent run again; return False if it was not paused. Raises NotFound."""
    _check_agent(agent)
    was_paused = Ledger().resume(agent, by.said("resume"))
    state_file.write_after_decision(agent)
    return was_paused


def set_autonomy(agent: str, mode: Mode, by: By) -> Mode:
    """Say how far an agent may go from now on: observe, ask or act. What is held stays held.

    Returns:
        How far it could go before.

    Raises:
        NotFound: There is no such agent.
        JournalUnavailable: The decision cannot be kept, and nothing was changed.

    """
    _check_agent(agent)
    before = Ledger().set_autonomy(agent, mode, by.said("autonomy"))
    state_file.write_after_decision(agent)
    return before


def stop_all(by: By) -> list[str]:
    """Pause every agent, and return their names. An agent that is paused already keeps the first reason."""
    for agent in agents():
        _pause(agent, by.said("stop-all"))
    return agents()


def recovered(names: Iterable[str], by: By) -> None:
    """Note that a person rebuilt these agents after a loss of Redis."""
    for agent in sorted(names):
        Ledger().note(agent, by.said("recover"), "closed", "open")


def _pause(agent: str, said: Said) -> bool:
    is_new = Ledger().pause(agent, said)
    state_file.write_after_decision(agent)
    return is_new


def _check_agent(agent: str) -> None:
    if agent not in agents():
        raise NotFound(f"there is no agent {agent!r}; there are: {', '.join(agents())}")
