"""Who gives a command, and of which agents a command may speak."""

from __future__ import annotations

import getpass

from gatekeeper.policies.spec import agents
from state.agents import state_file


def person() -> str:
    """Who types this."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"


def all_agents() -> list[str]:
    """Every agent with tasks, or with a state file: calls of one that was renamed or removed still want an end."""
    return sorted({*agents(), *state_file.agents()})
