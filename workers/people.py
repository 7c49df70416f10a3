"""The person who runs a command, and the agents that a command may name."""

from __future__ import annotations

import getpass
import sys
from contextlib import suppress

from gatekeeper.policies.spec import agents
from state.agents import attention, state_file
from state.errors import StoreError


def person() -> str:
    """Return the login name of the person who runs this command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"


def note_that_somebody_looks(*, json_: bool) -> None:
    """Record that a person looks, so that no alert before now is escalated; a program, which asks for JSON, is nobody.

    Args:
        json_: Whether the command prints JSON.

    """
    if not json_ and (sys.stdin.isatty() or sys.stdout.isatty()):
        with suppress(StoreError):  # the command itself says that Redis is away
            attention.looked(person())


def all_agents() -> list[str]:
    """Return every agent with tasks or a state file: a renamed or removed agent may still have open calls."""
    return sorted({*agents(), *state_file.agents()})
