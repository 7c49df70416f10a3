"""The person who runs a command, and the agents that a command may name."""

from __future__ import annotations

import getpass

from gatekeeper.policies.spec import agents
from state.agents import state_file


def person() -> str:
    """Return the login name of the person who runs this command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"


def all_agents() -> list[str]:
    """Return every agent with tasks or a state file: a renamed or removed agent may still have open calls."""
    return sorted({*agents(), *state_file.agents()})
