"""The processes of an older version, which do not know what a person is about to choose."""

from __future__ import annotations

import structlog

from state import redis_format
from state.agents.autonomy import Mode
from state.processes import liveness

log = structlog.get_logger("gatehouse.decisions")


def older_processes(mode: Mode) -> list[str]:
    """Return the running processes that do not know a mode: they send, until they notice its first use and end.

    Raises StoreError.
    """
    older = [] if mode == "act" else liveness.current().older_than(redis_format.AUTONOMY)
    return [f"{each.kind} {each.pid} on {each.host}" for each in older]


def warn_of_older(agent: str, mode: Mode) -> None:
    """Log them, where nobody reads a terminal. Raises StoreError."""
    if older := older_processes(mode):
        hint = "they send without asking until they end, some seconds from now"
        log.warning("older processes", agent=agent, mode=mode, processes=older, hint=hint)
